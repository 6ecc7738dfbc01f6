"""Checks files that io_test.cpp wrote into a folder, and writes others for it to read: `interop.py FORMAT FOLDER`."""
import pathlib
import sys

import numpy as np

command, folder = sys.argv[1], pathlib.Path(sys.argv[2])

# The same numbers as `samples()` in io_test.cpp.
arrays = {
    "odd": np.array([True, False, True]),
    "f32": np.arange(6, dtype=np.float32).reshape(2, 3) / 4 - 0.5,
    "special": np.array([np.nan, np.inf, -np.inf, -0.0, 1e-45], dtype=np.float32),
    "f64": np.arange(3) * 0.1,
    "i64": np.array([[-(2**62), 2**53 + 1], [0, -1]]),
    "u8": np.arange(256, dtype=np.uint8),
    "empty": np.zeros((0, 3), dtype=np.float32),
    "scalar": np.array(7.25),
}


def same(name, got, want):
    got = np.asarray(got)
    assert got.dtype == want.dtype and got.shape == want.shape, (name, got.dtype, got.shape)
    assert got.tobytes() == want.tobytes() or np.array_equal(got, want, equal_nan=got.dtype.kind == "f"), name


if command == "npy":
    for name, array in arrays.items():
        same(name, np.load(folder / f"{name}.npy"), array)
    same("transposed", np.load(folder / "transposed.npy"), np.ascontiguousarray(arrays["f32"].T))
    for name, array in arrays.items():
        np.save(folder / f"{name}.npy", array)
    np.save(folder / "f16.npy", np.array([0.5, -65504, 2**-24, np.inf], dtype=np.float16))
    for kind in ("i1", "i2", "i4", "u2", "u4"):
        np.save(folder / f"{kind}.npy", np.array([0, 1, np.iinfo(kind).max, np.iinfo(kind).min], dtype=kind))
    np.save(folder / "fortran.npy", np.asfortranarray(np.arange(24, dtype=np.float32).reshape(2, 3, 4)))
    with open(folder / "version2.npy", "wb") as file:
        np.lib.format.write_array(file, arrays["f32"], version=(2, 0))
    with open(folder / "version3.npy", "wb") as file:
        np.lib.format.write_array(file, arrays["f32"], version=(3, 0))
    np.save(folder / "big_endian.npy", np.arange(3, dtype=">f4"))
    np.save(folder / "complex.npy", np.zeros(2, dtype=np.complex64))
    np.save(folder / "record.npy", np.zeros(2, dtype=[("x", "f4"), ("y", "i4")]))
    np.save(folder / "object.npy", np.array([{}, 1], dtype=object))
elif command == "safetensors":
    try:
        import torch
    except ImportError:
        sys.exit(77)  # counted as skipped
    from safetensors import safe_open
    from safetensors.torch import load_file, save_file

    tensors = {name: torch.from_numpy(np.array(array)) for name, array in arrays.items()}
    tensors["bf16"] = (torch.arange(5) / 2 - 1).to(torch.bfloat16)
    path = folder / "gradus.safetensors"
    got = load_file(path)
    assert sorted(got) == sorted([*tensors, "transposed", "naïve \"name\""]), sorted(got)
    for name, tensor in tensors.items():
        assert got[name].dtype == tensor.dtype and got[name].shape == tensor.shape, name
        same_values = (got[name] == tensor) | (got[name].isnan() & tensor.isnan())
        assert same_values.all(), name
    assert torch.equal(got["transposed"], tensors["f32"].T)
    with safe_open(path, "pt") as file:
        assert file.metadata() == {"line\nbreak": "tab\t", "lang": "C++ ✓"}, file.metadata()
    tensors["f16"] = torch.tensor([0.5, -65504, 2**-24, float("inf")], dtype=torch.float16)
    save_file(tensors, folder / "python.safetensors", metadata={"made by": "Python ✓", "quote": 'a"b\\c'})
    save_file({"x": torch.zeros(2, dtype=torch.int32)}, folder / "int32.safetensors")
else:
    sys.exit(f"unknown command {command}")
