"""Draws the map of the repository with Graphviz. The arrows are those that ch00/map reads from the sources."""

import subprocess

from figures import graph, program

CONTENTS = {
    "examples": "programs: image_classifier, translation, ...",
    "train": "fit and evaluate, checkpoints, logs",
    "nn": "modules: layers, attention",
    "optim": "optimisers, schedules",
    "data": "data sets, loaders, tokenisers",
    "autograd": "every operation and its gradient",
    "tensor": "numbers, shapes, kernels for CPU and GPU",
}
BESIDE = {"tutorials": "this", "tests": "of all of it", "bench": "how fast it is", "tools": "scripts"}


def label(folder, text):
    return f'<<b>{folder}/</b><br/><font point-size="10">{text}</font>>'


def arrows():
    for line in program("ch00/map").splitlines():
        folder, _, *others = line.split()
        assert folder in CONTENTS
        for other in others:
            if other != "nothing":
                yield f"{folder} -> {other};"


def main():
    nodes = [f"{folder} [label={label(folder, text)}];" for folder, text in CONTENTS.items()]
    whole = "digraph {" + "\n".join([*nodes, *arrows()]) + "}"
    # Arrows that a longer way implies are left out.
    reduced = subprocess.run(["tred"], input=whole, capture_output=True, text=True, check=True).stdout
    beside = "\n".join(f'{folder} [label={label(folder, text)}, color="#999999"];' for folder, text in BESIDE.items())
    style = """
    rankdir=TB; ranksep=0.45; nodesep=0.35; bgcolor=white; fontname="DejaVu Sans";
    node [shape=box, style="rounded,filled", fillcolor="#eef4fa", color="#4a6f96", fontname="DejaVu Sans", fontsize=13];
    edge [color="#4a6f96", arrowsize=0.7];
    """
    column = " -> ".join(BESIDE) + " [style=invis];"
    group = f'subgraph cluster_beside {{ label="include what they like"; fontsize=10; color="#cccccc"; {beside} {column} }}'
    picture = reduced.replace("{", "{" + style, 1)
    picture = picture[: picture.rindex("}")] + group + "\n}"
    graph(picture, "map.svg")


if __name__ == "__main__":
    main()
