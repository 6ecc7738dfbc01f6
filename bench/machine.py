"""What bench.py runs on: child processes that answer, the peers' libraries, and how noisy the machine is."""

import glob
import importlib.util
import json
import os
import re
import subprocess
import sys

# Threads of the libraries stay awake about a millisecond after a call, so that calls in a row find them ready while
# the library measured next has the cores to itself.
AWAKE = {"OPENBLAS_THREAD_TIMEOUT": "20", "GOMP_SPINCOUNT": "20000"}
# Every block in pages of its own: none comes from what happened to be free.
SEPARATE_BLOCKS = {"MALLOC_MMAP_THRESHOLD_": "4096", "MALLOC_MMAP_MAX_": str(1 << 20)}
# glibc's malloc gives large blocks back to the system at once, and every call would fault them in again.
KEEP_MEMORY = {
    "MALLOC_MMAP_THRESHOLD_": str(1 << 32),
    "MALLOC_TRIM_THRESHOLD_": str(1 << 40),
    "MALLOC_TOP_PAD_": "67108864",
    "THP_MEM_ALLOC_ENABLE": "1",
}


class Child:
    """A program that answers a line of JSON to each line it is given."""

    def __init__(self, command, **environment):
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env={**os.environ, **environment}
        )

    def ask(self, line):
        try:
            self.process.stdin.write(line + "\n")
            self.process.stdin.flush()
        except BrokenPipeError:
            pass
        answer = self.process.stdout.readline()
        if not answer:
            raise RuntimeError(f"{self.process.args[0]} ended at '{line}' with {self.process.wait()}")
        answer = json.loads(answer)
        if isinstance(answer, dict) and "error" in answer:
            raise RuntimeError(answer["error"])
        return answer

    def close(self):
        try:
            self.process.stdin.close()
        except BrokenPipeError:
            pass
        self.process.wait()

    def status(self, *names):
        """Fields of /proc/PID/status, in bytes."""
        with open(f"/proc/{self.process.pid}/status") as file:
            fields = dict(line.split(":", 1) for line in file)
        return [int(fields[name].split()[0]) * 1024 for name in names]


# --- the machine ----------------------------------------------------------------------------------------------------


def processor():
    with open("/proc/cpuinfo") as file:
        text = file.read()
    field = lambda name: (re.findall(rf"^{name}\s*: (.*)", text, re.M) or ["?"])[0]
    return field("model name"), set(field("flags").split())


def cpu_times():
    """Hundredths of a second since the machine started: all, not idle, and stolen by other virtual machines."""
    with open("/proc/stat") as file:
        t = [int(x) for x in file.readline().split()[1:9]]
    return sum(t), sum(t) - t[3] - t[4], t[7]


def warnings(before, after, own, spread):
    """What was wrong between two cpu_times, `own` seconds of them ours, when peaks varied by `spread` percent."""
    total, busy, steal = (b - a for a, b in zip(before, after))
    total = max(1, total)
    others, steal = 100 * (busy - steal - 100 * own) / total, 100 * steal / total
    found = []
    if others > 5:
        found.append(f"{others:.0f}% of the processor was busy with something else")
    if steal > 1:
        found.append(f"{steal:.1f}% of its time was stolen by other virtual machines")
    if spread > 5:
        found.append(f"the peak varied by {spread:.0f}% between measurements")
    return [f"noisy machine: {text}; figures are not to be trusted" for text in found]


def libraries():
    """Paths of the peers' libraries: those of this Python's packages first, then the system's."""
    found = {}
    spec = importlib.util.find_spec("scipy_openblas32")
    candidates = {
        "openblas": [
            os.path.join(p, "lib", "libscipy_openblas.so") for p in (spec.submodule_search_locations if spec else [])
        ]
        + glob.glob("/usr/lib/*/openblas-pthread/libopenblas.so.0"),
        "blis": glob.glob("/usr/lib/*/blis-pthread/libblis.so.*"),
        "onednn": glob.glob(os.path.join(sys.prefix, "lib", "libdnnl.so.?")) + glob.glob("/usr/lib/*/libdnnl.so.?"),
    }
    for name, paths in candidates.items():
        paths = [p for p in paths if os.path.exists(p)]
        if paths:
            found[name] = paths[0]
    return found


# Old libraries do not know new processors. Where one speaks of no kernels for AVX-512, this makes it use them.
KNOWS_AVX512 = "SkylakeX|Cooperlake|SapphireRapids|ZEN|skx|zen4|oneDNN"
FORCE = {"openblas": {"OPENBLAS_CORETYPE": "SkylakeX"}, "blis": {"BLIS_ARCH_TYPE": "skx"}}


def gemm_peers(program):
    """Tries each library in a process of its own, as one that crashes is one that is not there. Gives the arguments
    and the environment of a process with all of them."""
    arguments, environment = [], {}
    for name, path in libraries().items():
        for force in [{}] + ([FORCE[name]] if "avx512f" in processor()[1] and name in FORCE else []):
            child = Child([program, f"{name}={path}"], **force)
            try:
                peer = child.ask("peers")[0]
                child.ask("gemm NN 64 64 64 1 1 0 wall")
                works = peer["there"]
            except RuntimeError:
                works = False
            child.close()
            if works and (force or re.search(KNOWS_AVX512, peer["version"]) or "avx512f" not in processor()[1]):
                arguments.append(f"{name}={path}")
                environment |= force
                break
    return arguments, {**AWAKE, **environment}
