"""Gradus beside its peers: one table per group, every ratio from adjacent moments of one run.

usage: bench.py [options], or ./run bench [options], which builds what is measured and installs the peers

Programs and peers are child processes that answer commands (serve.cpp); each thing is measured in short rounds of
ours and the peer's in turn, at least seven. A figure is the median over rounds of the median over calls; a ratio is
the median over rounds of the peer's time by ours, so more than 1 means that ours is faster. Peers that are missing
are shown as not there.
"""

import argparse
import importlib.util
import json
import os
import platform
import random
import re
import statistics
import subprocess
import sys
import time

import report
from machine import AWAKE, KEEP_MEMORY, SEPARATE_BLOCKS, Child, cpu_times, gemm_peers, processor, warnings

HERE = os.path.dirname(os.path.abspath(__file__))
GROUPS = ("gemm", "random", "avx2", "memory", "conv", "attention", "linear", "overhead", "steps")
SIZES = (512 << 10, 32 << 20, 1 << 30)  # what a walk for bandwidth touches: about L2, L3 and DRAM
# kind, M, N, K, batch: so many products (M, K) (K, N). The first letter of the kind says of A whether it lies as it is
# (N) or transposed (T), the second of B.
SHAPES = [("NN", n, n, n, 1) for n in (64, 256, 512, 1024, 2048)] + [
    ("NN", 4096, 256, 256, 1), ("NT", 4096, 1024, 256, 1), ("NN", 256, 256, 4096, 1), ("TN", 256, 256, 4096, 1),
    ("NN", 64, 64, 64, 512), ("NT", 256, 256, 64, 48), ("NT", 128, 10, 784, 1), ("NT", 64, 256, 784, 1),
    ("NT", 64, 10, 128, 1), ("NT", 32, 1024, 256, 1), ("NT", 64, 768, 256, 1), ("NT", 1, 1024, 256, 1),
    ("NT", 1280, 8000, 256, 1), ("NN", 12544, 32, 144, 1)]  # fmt: skip

# --- measuring ------------------------------------------------------------------------------------------------------


class Bench:
    def __init__(self, options):
        self.options = options
        self.programs = options.programs
        self.seconds = 0.006 if options.quick else 0.03
        self.tables, self.roofs, self.points, self.peaks = [], {}, [], []
        self.gemm_peers = None
        self.peers = {"openblas": "not there", "blis": "not there", "onednn": "not there", "torch": "not there"}

    def program(self, name, **environment):
        return Child([os.path.join(self.programs, name), "--serve"], **environment)

    def clock(self, threads):
        return "processor" if self.options.best and threads == 1 else "wall"

    def timing(self, threads):
        """How long a round takes, and by which clock."""
        return f"{self.seconds} {self.clock(threads)}"

    def wanted(self, name):
        return re.search(self.options.filter, name)

    def ratios(self, ours, theirs):
        """Of samples [[median, first decile] per round]: ours and theirs in seconds, and the ratio."""
        if self.options.best:
            a, b = (sorted(low for _, low in samples)[len(samples) // 4] for samples in (ours, theirs))
            return a, b, b / a
        a, b = ([median for median, _ in samples] for samples in (ours, theirs))
        return statistics.median(a), statistics.median(b), statistics.median(y / x for x, y in zip(a, b))

    def seconds_of(self, samples):
        return self.ratios(samples, samples)[0]

    def share(self, giga, samples, peak):
        """Of the peak: samples that do giga * 10^9 operations by samples that do 10^9."""
        seconds = self.seconds_of(peak)
        return giga * seconds / self.seconds_of(samples) if seconds else None

    def roof(self):
        rows = []
        for threads in self.options.threads:
            child = self.program("kernels")
            child.ask(f"threads {threads}")
            clock = self.clock(threads)
            roof = child.ask(f"roof {clock} " + " ".join(map(str, SIZES)))
            peaks = [roof["peak"]] + [child.ask(f"roof {clock}")["peak"] for _ in range(4)]
            child.close()
            self.peaks.append(100 * (max(peaks) / min(peaks) - 1) if min(peaks) > 0 else 0)
            roof["peak"] = max(peaks)
            self.roofs[threads] = roof
            rows.append(
                [report.threads(threads), f"{roof['peak']:.0f}"] + [f"{x:.0f}" for x in roof["read"] + roof["copy"]]
            )
        sizes = ["512 KB", "32 MB", "1 GB"]
        self.table(
            "The machine",
            f"instruction set {roof['isa']}, float32; GB/s by how much is touched, copies as read + written",
            ["", "peak, GFLOP/s"] + [f"read {s}" for s in sizes] + [f"copy {s}" for s in sizes],
            rows,
        )

    def table(self, title, note, head, rows, summary=None, data=None):
        table = {
            "title": title,
            "note": note,
            "head": head,
            "rows": rows,
            "summary": summary or [],
            "data": data or [],
        }
        self.tables.append(table)
        print(report.text(table), flush=True)

    # --- products ---

    def start_gemm(self):
        program = os.path.join(self.programs, "gemm")
        if self.gemm_peers is None:
            self.gemm_peers = gemm_peers(program)
        arguments, environment = self.gemm_peers
        child = Child([program] + arguments, **environment)
        peers = child.ask("peers")
        self.peers |= {p["name"]: p["version"] for p in peers}
        return child, [p["name"] for p in peers]

    def gemm_shape(self, child, shape, threads):
        return child.ask("gemm {} {} {} {} {} {} {}".format(*shape, self.options.rounds, self.timing(threads)))

    def products(self, title, note, shapes):
        shapes = [s for s in shapes if self.wanted(report.shape(s))]
        for threads in self.options.threads if shapes else []:
            child, peers = self.start_gemm()
            child.ask(f"threads {threads}")
            check = self.gemm_shape(child, ("NN", 1024, 1024, 1024, 1), threads)
            summary, rows, data = [], [], []
            for peer in peers:
                share = self.share(2e-9 * 1024**3, check[peer]["seconds"], check["peak"])
                if share and share < 0.6:
                    summary.append(
                        f"suspect: {report.NAMES[peer]} reaches {100 * share:.0f}% of the peak at 1024x1024x1024"
                    )
            for shape in shapes:
                kind, m, n, k, batch = shape
                flops = 2e-9 * m * n * k * batch
                answer = self.gemm_shape(child, shape, threads)
                ours = answer["gradus"]["seconds"]
                row = {
                    "name": report.shape(shape),
                    "shape": shape,
                    "gflops": flops / self.seconds_of(ours),
                    "peers": {},
                }
                for peer in peers:
                    _, theirs, ratio = self.ratios(ours, answer[peer]["seconds"])
                    row["peers"][peer] = {"gflops": flops / theirs, "ratio": ratio}
                for name in ["gradus"] + peers:
                    if not answer[name]["error"] < 4:
                        summary.append(f"wrong: {name} at {row['name']}, {answer[name]['error']:.1f} roundings off")
                best = min(peers, key=lambda p: row["peers"][p]["ratio"], default=None)
                row["ratio"] = row["peers"][best]["ratio"] if best else None
                row["peak"] = self.share(flops, ours, answer["peak"])
                data.append(row)
                self.points.append(
                    {
                        "group": "gemm",
                        "threads": threads,
                        "gflops": row["gflops"],
                        "name": row["name"],
                        "intensity": flops * 1e9 / (4 * batch * (m * k + k * n + m * n)),
                    }
                )
                cells = [f"{row['peers'][p]['gflops']:.0f}" if p in peers else "not there" for p in report.LIBRARIES]
                rows.append(
                    [
                        row["name"],
                        f"{row['gflops']:.0f}",
                        *cells,
                        f"{row['ratio']:.2f} {report.NAMES[best]}" if best else "",
                        report.percent(row["peak"]),
                    ]
                )
            child.close()
            if peers:
                summary.insert(0, report.ratio_summary([(r["ratio"], r["name"]) for r in data]))
                mean = lambda peer: report.geometric_mean([r["peers"][peer]["ratio"] for r in data])
                summary.insert(
                    1, "beside each alone: " + ", ".join(f"{report.NAMES[p]} {mean(p):.2f}" for p in peers)
                )
            self.table(
                f"{title}, {report.threads(threads)}",
                note,
                ["GFLOP/s", "Gradus", *(report.NAMES[p] for p in report.LIBRARIES), "ratio to the best", "of peak"],
                rows,
                summary,
                data,
            )

    def gemm(self):
        self.products("Matrix products", "float32, nothing packed in advance, results given", SHAPES)

    def random(self):
        draw = random.Random(self.options.seed)
        shapes, size = [], lambda: round(2 ** draw.uniform(0, 12))
        while len(shapes) < (10 if self.options.quick else 40):
            shape = (draw.choice(["NN", "NT", "TN", "TT"]), size(), size(), size(), 1)
            if shape[1] * shape[2] * shape[3] <= (1 << 28 if self.options.quick else 1 << 32):
                shapes.append(shape)
        self.products("Matrix products of random shapes", f"seed {self.options.seed}", shapes)

    def avx2(self):
        if "avx2" not in processor()[1]:
            return
        for threads in self.options.threads:
            child = Child([os.path.join(self.programs, "gemm")], GRADUS_ISA="avx2")
            child.ask(f"threads {threads}")
            rows, data = [], []
            for n in (512, 1024) if self.options.quick else (512, 1024, 2048):
                answer = self.gemm_shape(child, ("NN", n, n, n, 1), threads)
                gflops = 2e-9 * n**3 / self.seconds_of(answer["gradus"]["seconds"])
                share = self.share(2e-9 * n**3, answer["gradus"]["seconds"], answer["peak"])
                data.append({"n": n, "gflops": gflops, "peak": share})
                rows.append([f"{n}x{n}x{n}", f"{gflops:.0f}", f"{gflops / share:.0f}", report.percent(share)])
            child.close()
            self.table(
                f"AVX2 forced, {report.threads(threads)}",
                "",
                ["GFLOP/s", "Gradus", "AVX2's peak", "of peak"],
                rows,
                data=data,
            )

    # --- everything else, beside PyTorch ---

    def torch(self, threads, **environment):
        if not importlib.util.find_spec("torch"):
            return None
        environment = {
            "OMP_NUM_THREADS": str(threads),
            "GOMP_SPINCOUNT": AWAKE["GOMP_SPINCOUNT"],
            "TORCHINDUCTOR_CACHE_DIR": os.path.join(sys.prefix, "inductor"),
            **environment,
        }
        child = Child([sys.executable, os.path.join(HERE, "peer_torch.py")], **environment)
        self.peers["torch"] = child.ask("version")
        child.ask(f"threads {threads}")
        return child

    def items(self, program, group, note, columns):
        """A table of this group's items; columns(item, seconds, threads) gives the last columns as {head: cell}."""
        for threads in self.options.threads:
            ours = self.program(program)
            ours.ask(f"threads {threads}")
            wanted = [i for i in ours.ask("items") if i["group"] == group and self.wanted(i["name"])]
            peer = (
                self.torch(threads, GRADUS_BENCH_COMPILE=str(int(not self.options.quick)), **KEEP_MEMORY)
                if wanted
                else None
            )
            rows, data, timing = [], [], self.timing(threads)
            for item in wanted:
                ours.ask("set " + item["name"])
                variant = peer and peer.ask("set " + item["name"])
                samples = [], []
                start = time.time()
                for done in range(self.options.rounds):
                    if self.options.quick and done >= 3 and time.time() - start > 3:
                        break  # long steps: three rounds tell
                    samples[0].append(ours.ask(f"time {timing}"))
                    if variant is not None:
                        samples[1].append(peer.ask(f"time {timing}"))
                if variant is not None:
                    mine, theirs, ratio = self.ratios(*samples)
                else:
                    mine, theirs, ratio = self.seconds_of(samples[0]), None, None
                extra = columns(item, mine, threads)
                data.append(
                    {
                        "name": item["name"],
                        "seconds": mine,
                        "torch": theirs,
                        "ratio": ratio,
                        "variant": variant,
                        **extra,
                    }
                )
                rows.append(
                    [
                        item["name"],
                        report.seconds(mine),
                        report.seconds(theirs) if ratio else "not there",
                        f"{ratio:.2f}" if ratio else "",
                        *extra.values(),
                        *([variant or ""] if group == "steps" else []),
                    ]
                )
            for child in (ours, peer):
                if child:
                    child.close()
            if not rows:
                continue
            head = ["", "Gradus", "PyTorch", "ratio", *extra, *(["PyTorch's way"] if group == "steps" else [])]
            pairs = [(r["ratio"], r["name"]) for r in data if r["ratio"]]
            titles = {
                "memory": "Limited by memory",
                "conv": "Convolutions",
                "attention": "Attention",
                "linear": "Layers whose weights stay",
                "overhead": "What an op costs",
                "steps": "Training steps",
            }
            self.table(
                f"{titles[group]}, {report.threads(threads)}",
                note,
                head,
                rows,
                [report.ratio_summary(pairs)] if pairs else [],
                data,
            )

    def memory(self):
        def columns(item, seconds, threads):
            read, written = item["read"], item["written"]
            rate = (read + written) / seconds * 1e-9
            roof = self.roofs[threads]["read" if written < read / 20 else "copy"]
            level = sum(read + written > limit for limit in (2 << 20, 200 << 20))
            self.points.append(
                {"group": "memory", "threads": threads, "name": item["name"], "bytes": read + written, "rate": rate}
            )
            return {"GB/s": f"{rate:.1f}", "of bandwidth": report.percent(rate / roof[level])}

        self.items(
            "kernels",
            "memory",
            "GB/s by the bytes that must move; the share is of what the machine copies (or reads, where "
            "nothing is written) with that much touched; results are new on both sides unless the name says into",
            columns,
        )

    def flops(self, item, seconds, threads):
        rate, peak = item["flops"] / seconds * 1e-9, self.roofs[threads]["peak"]
        if not item["flops"]:
            return {"GFLOP/s": "", "of peak": ""}
        if item["read"]:
            self.points.append(
                {
                    "group": "conv",
                    "threads": threads,
                    "gflops": rate,
                    "name": item["name"],
                    "intensity": item["flops"] / (item["read"] + item["written"]),
                }
            )
        return {"GFLOP/s": f"{rate:.0f}", "of peak": report.percent(rate / peak if peak else None)}

    def conv(self):
        self.items(
            "kernels", "conv", "float32, PyTorch in the better of its layouts, results new on both sides", self.flops
        )

    def attention(self):
        note = (
            "softmax(q k^T / 8) v of 8 heads of 64 features, batch x heads x queries to keys; both ways: the gradients "
            "of q, k and v too"
        )
        self.items("kernels", "attention", note, self.flops)

    def linear(self):
        note = (
            "y = x W^T + b, x (M, K), W (N, K), without gradients, the weights as they were in the call before; "
            "the share is of the peak of float32, which matrix units for bfloat16 exceed"
        )
        self.items("kernels", "linear", note, self.flops)

    def overhead(self):
        threads, self.options.threads = self.options.threads, self.options.threads[:1]
        self.items("kernels", "overhead", "Gradus from C++, PyTorch from Python", lambda *_: {})
        self.options.threads = threads

    def steps(self):
        self.items(
            "train_steps",
            "steps",
            "forward, backward and Adam unless it says otherwise, denormals flushed; the fastest of PyTorch's ways; "
            "GFLOP/s by the operations of plain convolutions, of which Winograd's algorithm needs fewer",
            self.flops,
        )
        self.peak_memory()

    def peak_memory(self):
        """What a process holds at most in five steps, files not counted, beyond what some of the tiny MLP took."""
        rows, data, ours = [], [], self.program("train_steps")
        names = [i["name"] for i in ours.ask("items") if i["flops"] and self.wanted(i["name"])]
        ours.close()

        def measure(child, name, variant):
            child.ask("threads 1")
            tiny = "tiny MLP 2-16-16-1, batch 1" + (", no Adam" if name.endswith("no Adam") else "")
            for step in (tiny, name):  # the first step of any model sets a library up; that is not counted
                (before,) = child.status("RssAnon")
                with open(f"/proc/{child.process.pid}/clear_refs", "w") as file:
                    file.write("5")  # the high-water mark begins anew
                child.ask(f"set {step}{variant}")
                child.ask("calls 5")
            peak, files, shared = child.status("VmHWM", "RssFile", "RssShmem")
            return (peak - files - shared - before) / 1e6

        for name in names:
            ours = self.program("train_steps")
            mine, allocator = measure(ours, name, ""), ours.ask("memory")["peak"] / 1e6
            ours.close()
            theirs, peer = None, self.torch(1, **SEPARATE_BLOCKS)
            if peer:
                theirs = measure(peer, name, " @eager" if name.endswith("no Adam") else " @eager, foreach Adam")
                peer.close()
            data.append({"name": name, "ours": mine, "allocator": allocator, "torch": theirs})
            rows.append(
                [
                    name,
                    f"{mine:.1f}",
                    f"{allocator:.1f}",
                    f"{theirs:.1f}" if theirs else "not there",
                    f"{theirs / mine:.2f}" if theirs else "",
                ]
            )
        if rows:
            self.table(
                "Peak memory of five steps, MB",
                "of the process, beyond what it held after steps of the tiny MLP; a process for each, one thread, "
                "PyTorch eager, every tensor in pages of its own",
                ["", "Gradus", "of it tensors", "PyTorch", "ratio"],
                rows,
                data=data,
            )


def main():
    cores = os.cpu_count()
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, prog="./run bench"
    )
    parser.add_argument(
        "--quick", action="store_true", help="short rounds, few random shapes, nothing compiled"
    )
    parser.add_argument("--group", default=",".join(GROUPS), help="some of " + ", ".join(GROUPS) + ", with commas")
    parser.add_argument("--filter", default="", help="a regular expression for the names of rows")
    parser.add_argument(
        "--threads", default="1" if cores == 1 else f"1,{cores}", help="numbers of threads, with commas"
    )
    parser.add_argument("--rounds", type=int, default=7, help="rounds of each side")
    parser.add_argument(
        "--best",
        action="store_true",
        help="for a noisy machine: fast calls of fast rounds, not medians; with one thread by processor time",
    )
    parser.add_argument("--seed", type=int, default=random.randrange(10000), help="of the random shapes")
    parser.add_argument("--json", metavar="FILE", help="write every figure")
    parser.add_argument("--results", metavar="FILE", help="write the tables as Markdown")
    parser.add_argument("--picture", metavar="FILE", help="draw the roofline (needs matplotlib)")
    parser.add_argument(
        "--programs", default=os.path.join(HERE, "..", "build", "release", "bench"), help=argparse.SUPPRESS
    )
    options = parser.parse_args()
    if sys.platform != "linux":
        sys.exit("error: the bench needs Linux: it reads /proc")
    options.threads = [int(t) for t in options.threads.split(",")]
    groups = options.group.split(",")
    for group in groups:
        if group not in GROUPS:
            parser.error(f"there is no group {group}; the groups are {', '.join(GROUPS)}")

    start, before = time.time(), cpu_times()
    bench = Bench(options)
    bench.roof()
    for group in groups:
        getattr(bench, group)()
    own = sum(os.times()[:4])
    found = warnings(before, cpu_times(), own, max(bench.peaks))
    git = subprocess.run(["git", "-C", HERE, "describe", "--always", "--dirty"], capture_output=True, text=True)
    facts = {
        "processor": f"{processor()[0]}, {cores} cores",
        "system": platform.platform(),
        "commit": git.stdout.strip() or "?",
        "when": time.strftime("%Y-%m-%d"),
        "figures": (
            "deciles of calls, quartiles of rounds, with one thread by processor time"
            if options.best
            else f"medians of {options.rounds} rounds"
        ),
        **{report.NAMES[name]: version for name, version in bench.peers.items()},
        "took": f"{time.time() - start:.0f} s",
    }
    print("\n" + "\n".join(f"{name}: {value}" for name, value in facts.items()))
    for line in found:
        print("WARNING: " + line)
    if options.json:
        with open(options.json, "w") as file:
            json.dump(
                {"facts": facts, "warnings": found, "roofs": bench.roofs, "tables": bench.tables}, file, indent=1
            )
    if options.results:
        with open(options.results, "w") as file:
            file.write(report.markdown(facts, found, bench.tables))
    if options.picture:
        report.picture(options.picture, bench.roofs, SIZES, bench.points)


if __name__ == "__main__":
    main()
