"""Reads the event files in a folder with TensorBoard's own reader and checks what train_test.cpp wrote."""
import io
import struct
import sys
import zlib

from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

SIZES = {"scalars": 0, "histograms": 0, "images": 0, "tensors": 0}  # keep all
log = EventAccumulator(sys.argv[1], size_guidance=SIZES)
log.Reload()
tags = log.Tags()
assert set(tags["scalars"]) == {"loss/train", "loss/test"}, tags
points = [(event.step, event.value) for event in log.Scalars("loss/train")]
# Steps 3 and 4 of the first file were written again after a resume at 3.
assert points == [(0, 1.0), (1, 0.5), (2, 0.25), (3, -3.0), (4, -4.0)], points
assert [event.step for event in log.Scalars("loss/test")] == [2**40]

(event,) = log.Histograms("weights")
histogram = event.histogram_value
assert (histogram.min, histogram.max, histogram.num) == (-1.0, 3.0, 5.0), histogram
assert (histogram.sum, histogram.sum_squares) == (4.0, 12.0), histogram
assert sum(histogram.bucket) == 5 and len(histogram.bucket) == len(histogram.bucket_limit) == 30
assert histogram.bucket[0] == 1 and histogram.bucket[-1] == 1 and histogram.bucket_limit[-1] == 3.0

(event,) = log.Images("picture")
assert (event.width, event.height) == (3, 2), event
png = event.encoded_image_string
assert png[:8] == b"\x89PNG\r\n\x1a\n" and struct.unpack(">II", png[16:24]) == (3, 2)

(event,) = log.Tensors("notes")
assert event.tensor_proto.string_val[0].decode() == "# naïve ✓", event
assert log.summary_metadata["notes"].plugin_data.plugin_name == "text"
