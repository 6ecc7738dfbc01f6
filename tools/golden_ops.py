#!/usr/bin/env python3
"""Makes tests/golden/ops.safetensors: what PyTorch computes for every case of the op table, in double.

    pip install torch numpy safetensors
    tools/golden_ops.py build/tests/op_table_test

The test program writes the table down (inputs, the expression to evaluate, the gradients of the outputs); so both
sides work on the same numbers, and a new row needs nothing here. Outputs are named NAME.y0, NAME.y1 ..., gradients
of the inputs that want one NAME.d0 ... PyTorch's own float32 results must lie within the tolerance of the test.
"""
import argparse
import json
import math
import os
import pathlib
import subprocess
import tempfile
import warnings

import numpy as np
import torch
import torch.nn.functional as F
from safetensors.numpy import save_file

TOLERANCE32 = 1e-5  # of op_table_test


def to_torch(made, dtype):
    values = np.array([float(v) for v in made["values"]], dtype=np.float64).reshape(made["shape"])
    return torch.from_numpy(values).to(dtype if made.get("follows_run", True) else getattr(torch, made["dtype"]))


def evaluate(case, dtype):
    x = []
    for made in case["inputs"]:
        x.append(to_torch(made, dtype).requires_grad_(made["gradient"]))
    y = eval(case["torch"], {"x": x, "torch": torch, "F": F, "math": math})
    y = list(y) if isinstance(y, (tuple, list)) else [y]
    if len(y) != len(case["output_gradients"]):
        raise SystemExit(f"{case['name']}: {len(y)} outputs in PyTorch, {len(case['output_gradients'])} here")
    wanted = [t for t in x if t.requires_grad]
    outputs, gradients = [], []
    for i, (out, g) in enumerate(zip(y, case["output_gradients"])):
        if out.requires_grad and g is not None:
            if list(out.shape) != g["shape"]:
                raise SystemExit(f"{case['name']}: output {i} is {list(out.shape)} in PyTorch, {g['shape']} here")
            outputs.append(out)
            gradients.append(to_torch(g, out.dtype))
        elif out.requires_grad and out.grad_fn is not None:
            # An op without a gradient here must have none but zeros there.
            zero = torch.autograd.grad(out, wanted, torch.ones_like(out), retain_graph=True, allow_unused=True)
            if any(d is not None and bool((d != 0).any()) for d in zero):
                raise SystemExit(f"{case['name']}: output {i} has a gradient in PyTorch, none here")
    found = torch.autograd.grad(outputs, wanted, gradients, allow_unused=True) if outputs else [None] * len(wanted)
    result = {f"y{i}": out.detach() for i, out in enumerate(y)}
    for i, (leaf, d) in enumerate(zip(wanted, found)):
        result[f"d{i}"] = torch.zeros_like(leaf) if d is None else d.detach()
    return {key: value.contiguous().numpy() for key, value in result.items()}


def differs(a, b, tolerance):
    a, b = a.astype(np.float64), b.astype(np.float64)
    finite = np.isfinite(b)
    largest = np.abs(b[finite]).max(initial=0)
    return not (np.array_equal(a[~finite], b[~finite], equal_nan=True)
                and np.all(np.abs(a[finite] - b[finite]) <= tolerance * (1 + largest)))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("program", help="the built op_table_test")
    folder = pathlib.Path(__file__).resolve().parent.parent / "tests" / "golden"
    parser.add_argument("--out", default=folder / "ops.safetensors")
    options = parser.parse_args()
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")  # of reductions without elements, which are cases on purpose
    with tempfile.TemporaryDirectory() as scratch:
        table = os.path.join(scratch, "cases.json")
        subprocess.run([options.program, "--gtest_also_run_disabled_tests", "--gtest_filter=OpTableDump.*"],
                       check=True, env=os.environ | {"GRADUS_OP_CASES": table}, stdout=subprocess.DEVNULL)
        cases = json.loads(pathlib.Path(table).read_text())
    golden, apart = {}, []
    for case in cases:
        try:
            double, single = evaluate(case, torch.float64), evaluate(case, torch.float32)
        except Exception as error:
            raise SystemExit(f"{case['name']}: {case['torch']}: {error}")
        for key, value in double.items():
            golden[f"{case['name']}.{key}"] = value
            if value.dtype == np.float64 and differs(single[key], value, TOLERANCE32):
                apart.append(f"{case['name']}.{key}")
    save_file(golden, options.out)
    print(f"{len(cases)} cases, {len(golden)} arrays, {os.path.getsize(options.out)} bytes in {options.out}")
    for name in apart:
        print(f"PyTorch's float32 is farther from its double than the test allows: {name}")


if __name__ == "__main__":
    main()
