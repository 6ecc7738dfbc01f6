"""Draws the figures of chapter 01 from what stride_map prints."""

import matplotlib.pyplot as plt
from matplotlib.patches import Rectangle

from figures import program, save

GREY = "#555555"


def views():
    """name -> its elements, each a dictionary of numbers."""
    lines = program("ch01/stride_map").splitlines()
    names = lines[0].split(",")[:-1]
    found = {}
    for line in lines[1:]:
        *numbers, name = line.split(",", len(names))
        found.setdefault(name, []).append(dict(zip(names, map(int, numbers))))
    return found


def colour(place, places):
    return plt.cm.YlGnBu(0.08 + 0.5 * place / (places - 1))


def cell(axes, x, y, text, face, corner="", faint=False):
    axes.add_patch(Rectangle((x, -y - 1), 1, 1, facecolor=face, edgecolor=GREY, linewidth=0.8,
                             linestyle="--" if faint else "-"))
    axes.text(x + 0.5, -y - 0.5, text, ha="center", va="center", fontsize=11, color=GREY if faint else "black")
    axes.text(x + 0.94, -y - 0.92, corner, ha="right", va="bottom", fontsize=6.5, color=GREY)


def arrow(axes, start, end, text, offset):
    axes.annotate("", end, start, arrowprops={"arrowstyle": "->", "color": "#b03030", "linewidth": 1.1})
    axes.text((start[0] + end[0]) / 2 + offset[0], (start[1] + end[1]) / 2 + offset[1], text, color="#b03030",
              ha="center", va="center", fontsize=9)


def table(axes, x, y, name, elements):
    """Cells with their value and, small, the place in memory; above and beside them what a step adds to the place."""
    first = elements[0]
    rows = 1 + max(e["row"] for e in elements)
    columns = 1 + max(e["column"] for e in elements)
    for e in elements:
        cell(axes, x + e["column"], y + e["row"], str(e["value"]), colour(e["place"], 6), str(e["place"]))
    if columns > 1:
        arrow(axes, (x + 0.5, -y + 0.2), (x + 1.5, -y + 0.2), f"+{first['stride1']}", (0, 0.24))
    if rows > 1:
        arrow(axes, (x - 0.2, -y - 0.5), (x - 0.2, -y - 1.5), f"+{first['stride0']}", (-0.33, 0))
    axes.text(x - 0.4, -y + 1.3, name, family="monospace", fontsize=9, va="center")
    axes.text(x - 0.4, -y + 0.85, f"shape ({rows}, {columns})  strides ({first['stride0']}, {first['stride1']})  "
              f"offset {first['offset']}", fontsize=8, color=GREY, va="center")


def blank(width, height):
    fig, axes = plt.subplots(figsize=(width * 0.5, height * 0.5))
    axes.set_xlim(0, width)
    axes.set_ylim(-height, 0)
    axes.set_aspect("equal")
    axes.axis("off")
    fig.subplots_adjust(0, 0, 1, 1)
    return fig, axes


def stride_map(found):
    fig, axes = blank(18, 11)
    axes.text(6, -0.45, "storage: the numbers in one row, and their places", fontsize=9, color=GREY, va="center")
    for e in found["x"]:
        cell(axes, 6 + e["place"], 0.8, str(e["value"]), colour(e["place"], 6), str(e["place"]))
    places = [(1, 3.8), (7.2, 3.8), (12.6, 3.8), (1, 8.8), (7.2, 8.8)]
    shown = [name for name in found if "(" in name or name == "x"]
    assert len(shown) == len(places)
    for name, (x, y) in zip(shown, places):
        table(axes, x, y, name, found[name])
    save(fig, "stride_map.svg")


def block(axes, x, y, elements, solid=lambda e: True, face="#dcebf7"):
    for e in elements:
        cell(axes, x + e["column"], y + e["row"], str(e["value"]), face if solid(e) else "white", faint=not solid(e))


def broadcast(found):
    fig, axes = blank(17, 6.3)
    block(axes, 0.7, 1, found["column"], lambda e: e["column"] == 0)
    axes.text(4.35, -2, "+", fontsize=15, ha="center", va="center")
    block(axes, 5, 1, found["row"], lambda e: e["row"] == 0)
    axes.text(8.65, -2, "=", fontsize=15, ha="center", va="center")
    block(axes, 9.3, 1, found["column + row"], face="#fbe6c8")
    block(axes, 9.3, 4.3, found["sum over 0"], face="#d8eed3")
    block(axes, 14.3, 1, found["sum over 1"], face="#d8eed3")
    arrow(axes, (10.8, -3.15), (10.8, -4.15), "sum over 0", (1.35, 0))
    arrow(axes, (12.5, -2), (14.1, -2), "sum over 1", (0, 0.3))
    for x, text in ((0.7, "(2, 1), stretched to (2, 3)"), (5, "(3), stretched to (2, 3)"), (9.3, "(2, 3)"),
                    (14.3, "(2, 1)")):
        axes.text(x, -0.55, text, fontsize=9, color=GREY, va="center")
    axes.text(9.3, -5.7, "(1, 3)", fontsize=9, color=GREY, va="center")
    save(fig, "broadcast.svg")


if __name__ == "__main__":
    all_views = views()
    stride_map(all_views)
    broadcast(all_views)
