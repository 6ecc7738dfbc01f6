"""Reads what `image_classifier train --model cnn --epochs 2 --log tensorboard` wrote with TensorBoard's own reader."""
import struct
import sys

from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

SIZES = {"scalars": 0, "histograms": 0, "images": 0, "tensors": 0}  # keep all
log = EventAccumulator(sys.argv[1], size_guidance=SIZES)
log.Reload()
tags = log.Tags()
for name in ("update/loss", "update/lr", "epoch/accuracy"):
    assert name in tags["scalars"], tags
steps = [event.step for event in log.Scalars("epoch/accuracy")]
assert len(steps) == 2, steps

for kind in ("weights", "gradients"):
    events = log.Histograms(f"{kind}/classifier.weight")
    assert [event.step for event in events] == steps, events
    assert all(event.histogram_value.num == 10 * 256 for event in events)
    assert events[0].histogram_value.sum_squares != events[1].histogram_value.sum_squares
    assert events[0].histogram_value.min < 0 < events[0].histogram_value.max
assert sum(name.startswith("weights/") for name in tags["histograms"]) == 13, tags

assert set(tags["images"]) == {"seen/confusion", "seen/wrong", "seen/attention"}, tags
for tag in tags["images"]:
    events = log.Images(tag)
    assert [event.step for event in events] == steps, (tag, events)
    for event in events:
        png = event.encoded_image_string
        assert png[:8] == b"\x89PNG\r\n\x1a\n" and struct.unpack(">II", png[16:24]) == (event.width, event.height)
