"""How bench.py shows what it measured: tables for the terminal and in Markdown, and the roofline."""

import math
import textwrap

LIBRARIES = ("openblas", "blis", "onednn")
NAMES = {"openblas": "OpenBLAS", "blis": "BLIS", "onednn": "oneDNN", "torch": "PyTorch"}


def threads(count):
    return "1 thread" if count == 1 else f"{count} threads"


def seconds(value):
    for unit, scale in (("s", 1), ("ms", 1e-3), ("µs", 1e-6)):
        if value >= scale:
            return f"{value / scale:.3g} {unit}" if value / scale < 999 else f"{value / scale:.0f} {unit}"
    return f"{value * 1e9:.0f} ns"


def percent(share):
    return "" if share is None else f"{100 * share:.0f}%"


def shape(s):
    kind, m, n, k, batch = s
    return f"{kind} {m}x{n}x{k}" + (f" of {batch}" if batch > 1 else "")


def geometric_mean(values):
    return math.exp(sum(map(math.log, values)) / len(values))


def ratio_summary(pairs):
    """Of (ratio, name): the mean, the worst, and all that are lost."""
    worst, lost = min(pairs), sorted(p for p in pairs if p[0] < 1)
    text = f"ratio: geometric mean {geometric_mean([r for r, _ in pairs]):.2f}, least {worst[0]:.2f} ({worst[1]})"
    return text + f", below 1 in {len(lost)} of {len(pairs)}"


def text(table):
    """The table for a terminal: first column to the left, the others to the right."""
    lines = [table["head"]] + table["rows"]
    widths = [max(len(line[i]) for line in lines) for i in range(len(table["head"]))]
    out = ["", table["title"], *textwrap.wrap(table["note"], 100)]
    for number, line in enumerate(lines):
        cells = [line[0].ljust(widths[0])] + [cell.rjust(width) for cell, width in zip(line[1:], widths[1:])]
        out.append("  ".join(cells).rstrip())
        if number == 0:
            out.append("-" * (sum(widths) + 2 * len(widths) - 2))
    return "\n".join(out + table["summary"])


def markdown(facts, warnings, tables):
    out = [
        "# Benchmark results",
        "",
        "Written by `./run bench --results FILE`; a ratio above 1 means that Gradus is faster.",
        "",
    ]
    out += [f"- {name}: {value}" for name, value in facts.items()]
    out += [f"- **{line}**" for line in warnings]
    for table in tables:
        out += ["", "## " + table["title"], ""]
        if table["note"]:
            out += [table["note"][0].upper() + table["note"][1:] + ".", ""]
        out.append("| " + " | ".join(table["head"]) + " |")
        out.append("| --- |" + " ---: |" * (len(table["head"]) - 1))
        out += ["| " + " | ".join(row) + " |" for row in table["rows"]]
        for line in table["summary"]:
            out += ["", line[0].upper() + line[1:] + "."]
    return "\n".join(out) + "\n"


def picture(path, roofs, sizes, points):
    """Left: GFLOP/s by operations per byte, under the roofline (Williams et al. 2009). Right: GB/s by bytes moved."""
    try:
        import matplotlib
    except ImportError:
        print("no picture: there is no matplotlib")
        return
    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure, (left, right) = plt.subplots(1, 2, figsize=(13, 5))
    for number, (count, roof) in enumerate(sorted(roofs.items())):
        colour = f"C{number}"
        x = [2 ** (i / 4) for i in range(-8, 45)]
        for rate, style, level in ((roof["copy"][-1], "-", "DRAM"), (roof["copy"][0], ":", "L2")):
            roofline = [min(roof["peak"], i * rate) for i in x]
            left.plot(x, roofline, colour, linestyle=style, label=f"{threads(count)}, {level}")
        for group, marker in (("gemm", "o"), ("conv", "^")):
            mine = [p for p in points if p["group"] == group and p["threads"] == count]
            left.plot(
                [p["intensity"] for p in mine],
                [p["gflops"] for p in mine],
                marker,
                color=colour,
                alpha=0.6,
                label=f"{group}, {threads(count)}" if mine else None,
            )
        right.plot(sizes, roof["copy"], colour, label=f"copy, {threads(count)}")
        right.plot(sizes, roof["read"], colour, linestyle="--", label=f"read, {threads(count)}")
        mine = [p for p in points if p["group"] == "memory" and p["threads"] == count]
        right.plot([p["bytes"] for p in mine], [p["rate"] for p in mine], "o", color=colour, alpha=0.6)
    for axes, x, y in (
        (left, "operations per byte that must move", "GFLOP/s"),
        (right, "bytes that must move", "GB/s"),
    ):
        axes.set(xscale="log", yscale="log", xlabel=x, ylabel=y)
        axes.grid(alpha=0.3)
        axes.legend(fontsize=8)
    figure.tight_layout()
    figure.savefig(path)
    plt.close(figure)
