"""Per-op overhead of Gradus beside PyTorch's, in nanoseconds: rounds of both in turn, the best of each.

usage: overhead.py PROGRAM   (build/release/bench/overhead)
"""

import json
import subprocess
import sys
import timeit

import torch

ROUNDS = 3
torch.set_num_threads(1)


def best(run):
    count = 20000
    return min(timeit.repeat(run, number=count, repeat=5)) / count * 1e9


def pytorch():
    a, b = (torch.randn(10, requires_grad=True) for _ in range(2))
    plain_a, plain_b, g = a.detach(), b.detach(), torch.ones(10)
    x, w, bias = torch.randn(1, 16), torch.randn(16, 16, requires_grad=True), torch.randn(16, requires_grad=True)
    matrix = torch.randn(4, 5, requires_grad=True)

    def backward():
        (a + b).backward(g)
        a.grad = b.grad = None

    with torch.no_grad():
        off = best(lambda: plain_a + plain_b)
    return {
        "add of 10 elements, gradients on": best(lambda: a + b),
        "add of 10 elements, gradients off": off,
        "add of 10 elements and backward": best(backward),
        "linear 1x16 to 16, gradients on": best(lambda: torch.nn.functional.linear(x, w, bias)),
        "transpose of 4x5, gradients on": best(lambda: matrix.transpose(0, 1)),
    }


def gradus(program):
    command = [program, "--benchmark_format=json", "--benchmark_min_time=0.2"]
    text = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    return {b["name"]: b["real_time"] for b in json.loads(text)["benchmarks"]}


def main():
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    ours, theirs = {}, {}
    for _ in range(ROUNDS):
        for best_so_far, times in ((ours, gradus(sys.argv[1])), (theirs, pytorch())):
            for name, ns in times.items():
                best_so_far[name] = min(ns, best_so_far.get(name, ns))
    print(f"{'ns per call, one thread':36} {'Gradus':>8} {'PyTorch ' + torch.__version__ + ' from Python':>28}")
    for name, ns in ours.items():
        print(f"{name:36} {ns:8.0f} {theirs[name]:28.0f}")


if __name__ == "__main__":
    main()
