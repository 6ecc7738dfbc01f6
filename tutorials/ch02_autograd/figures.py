"""Draws the figures of chapter 02 from what its programs print."""

from figures import graph, palette, plt, program, save


def worked_example():
    """The worked example: values go right in black, gradients come back in colour."""
    nodes, edges = {}, []
    for line in program("ch02/tape").splitlines():
        words = line.split()
        if len(words) >= 4 and words[1] in ("leaf", "add", "mul", "sin"):
            nodes[words[0]] = (words[1], words[-2], words[-1])
        elif len(words) == 6 and words[1] == "->":
            edges.append((words[0], words[2], words[5]))
    colour = palette[3]
    dot = ['digraph { bgcolor=white; rankdir=LR; ranksep=0.9; nodesep=0.45;',
           f'node [fontname="DejaVu Sans", fontsize=13]; edge [fontname="DejaVu Sans", fontsize=12, fontcolor="{colour}"];']
    for name, (op, value, gradient) in nodes.items():
        title = name if op == "leaf" else f"{name} = {op}"
        shape = "box" if op == "leaf" else "ellipse"
        dot.append(f'{name} [shape={shape}, style=filled, fillcolor="#f4f4f4", label=<{title}<br/>{value}<br/>'
                   f'<font color="{colour}">{gradient}</font>>];')
    for above, below, carries in edges:
        dot.append(f"{below} -> {above};")
        dot.append(f'{above} -> {below} [color="{colour}", style=dashed, label="{carries}"];')
    dot.append("{rank=same; a; b} {rank=same; p; s} }")
    graph("\n".join(dot), "graph.svg")


def differences():
    """The error of a difference against its step, in both precisions."""
    rows = []
    for line in program("ch02/differences").splitlines():
        words = line.split()
        if len(words) == 5 and words[0].startswith("1e-"):
            rows.append([float("nan") if word == "lost" else float(word) for word in words])
    steps, wide_one, wide, narrow_one, narrow = zip(*rows)
    fig, axes = plt.subplots(figsize=(6.4, 3.8))
    for values, label, colour, style in ((narrow_one, "float32, one-sided", palette[3], "--"),
                                         (narrow, "float32, central", palette[3], "-"),
                                         (wide_one, "float64, one-sided", palette[0], "--"),
                                         (wide, "float64, central", palette[0], "-")):
        axes.loglog(steps, values, style, marker="o", markersize=4, color=colour, label=label)
    axes.invert_xaxis()
    axes.set_xlabel("step")
    axes.set_ylabel("largest error of the derivative")
    axes.grid(alpha=0.3)
    axes.legend()
    save(fig, "differences.svg")


worked_example()
differences()
