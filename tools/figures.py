#!/usr/bin/env python3
"""Draws the figures of chapters, from what their programs print.

    tools/figures.py ch03          (./run figures ch03 builds the programs first)

runs tutorials/ch03_NAME/figures.py, which says

    from figures import graph, palette, plt, program, save

    rows = program("ch03/softmax", "--csv")   # what build/release/tutorials/ch03/softmax prints
    fig, axes = plt.subplots(figsize=(6, 3))
    axes.plot(..., color=palette[0])
    save(fig, "softmax.svg")                  # beside the chapter's text, text as outlines; or .png
    graph("digraph { x -> y }", "graph.svg")  # with Graphviz

The same input gives the same file. Chinese needs a font, Debian's fonts-noto-cjk or any that matplotlib finds.
"""
import argparse
import pathlib
import re
import runpy
import subprocess
import sys
import tempfile
import warnings

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt  # chapters take it from here
from matplotlib import font_manager
from matplotlib.text import Text

from presets import preset

ROOT = pathlib.Path(__file__).resolve().parent.parent
LARGEST_SVG = 150_000  # bytes
# Okabe and Ito's colours, which the colour-blind can tell apart: blue, orange, green, red, purple, light blue, yellow.
palette = ["#0072b2", "#e69f00", "#009e73", "#d55e00", "#cc79a7", "#56b4e9", "#f0e442"]
CHINESE = re.compile("[\u2e80-\u9fff\uff00-\uffef]")
CHINESE_FONTS = ["Noto Sans CJK SC", "Noto Sans SC", "Source Han Sans SC", "Noto Sans CJK JP", "WenQuanYi Zen Hei",
                 "WenQuanYi Micro Hei", "Droid Sans Fallback", "PingFang SC", "Hiragino Sans GB", "Heiti TC", "SimHei"]

plt.rcParams.update({
    "axes.prop_cycle": plt.cycler(color=palette),
    "axes.spines.right": False,
    "axes.spines.top": False,
    "font.family": "sans-serif",
    "font.size": 9,
    "legend.frameon": False,
    "savefig.bbox": "tight",
    "savefig.dpi": 150,
    "savefig.facecolor": "white",
    "svg.fonttype": "path",  # letters as outlines: the same on every machine, Chinese too
    "svg.hashsalt": "gradus",
})
warnings.filterwarnings("error", message="Glyph .* missing")
options = argparse.Namespace(build=None, folder=pathlib.Path("."))


def program(name, *arguments):
    """What a program of a chapter ("ch03/softmax") or of examples/ prints, run in an empty folder."""
    build = options.build or ROOT / "build" / preset(options.folder.name)
    places = [build / folder / name for folder in ("tutorials", "examples")]
    path = next((place for place in places if place.is_file()), None)
    if not path:
        sys.exit(f"error: there is no program {name} in {build}; ./run figures builds those of the chapter")
    with tempfile.TemporaryDirectory() as empty:
        done = subprocess.run([path, *map(str, arguments)], cwd=empty, stdout=subprocess.PIPE, encoding="utf-8")
    if done.returncode != 0:
        sys.exit(f"error: {name} ended with {done.returncode}")
    return done.stdout


def use_chinese_font(figure):
    """Puts a font with Chinese letters behind that of each text."""
    manager = font_manager.fontManager
    listed = {font.fname for font in manager.ttflist}
    for path in font_manager.findSystemFonts():
        if path not in listed and re.search("cjk|han|wqy|droid", path, re.I):
            manager.addfont(path)  # installed since matplotlib made its list
    known = {font.name: font.fname for font in manager.ttflist}
    name = next((name for name in CHINESE_FONTS if name in known), None)
    if not name:
        sys.exit("error: no font has Chinese letters: ./run packages fonts-noto-cjk, and once more")
    if name == "Noto Sans CJK JP":
        name = simplified(pathlib.Path(known[name]).parent / "NotoSansCJK-Regular.ttc")
    for text in figure.findobj(Text):
        mono = "monospace" in text.get_fontfamily()
        text.set_fontfamily(["DejaVu Sans Mono" if mono else "DejaVu Sans", name])


def simplified(collection):
    """Of a collection of fonts matplotlib sees the first, Japanese; this takes the simplified Chinese one out of it."""
    from fontTools.ttLib import TTCollection  # matplotlib depends on it
    path = ROOT / "build/chinese.otf"
    if not path.exists():
        fonts = {font["name"].getDebugName(1): font for font in TTCollection(collection).fonts}
        path.parent.mkdir(exist_ok=True)
        fonts["Noto Sans CJK SC"].save(path)
    font_manager.fontManager.addfont(path)
    return "Noto Sans CJK SC"


def save(figure, name):
    """Writes it beside the chapter's text and closes it."""
    if any(CHINESE.search(text.get_text()) for text in figure.findobj(Text)):
        use_chinese_font(figure)
    path = options.folder / name
    figure.savefig(path, metadata={"Date": None} if path.suffix == ".svg" else {"Software": None})
    plt.close(figure)
    finish(path)


def graph(source, name, engine="dot"):
    """Draws a graph in Graphviz's language as SVG; its text becomes outlines, too."""
    path = options.folder / name
    try:
        drawn = subprocess.run([engine, "-Tsvg:cairo"], input=source, stdout=subprocess.PIPE, encoding="utf-8",
                               check=True)
    except FileNotFoundError:
        sys.exit("error: there is no Graphviz: ./run packages graphviz")
    path.write_text(drawn.stdout, encoding="utf-8")
    finish(path)


def finish(path):
    if path.suffix == ".svg":
        text = path.read_text(encoding="utf-8")
        path.write_text(re.sub(r"[ \t]+$", "", text, flags=re.M), encoding="utf-8")
    size = path.stat().st_size
    if path.suffix == ".svg" and size > LARGEST_SVG:
        sys.exit(f"error: {path} has {size} bytes, more than {LARGEST_SVG}: draw less, rasterise a part "
                 "(rasterized=True), or save a .png")
    print(f"drew {path} ({size} bytes)")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--build", type=pathlib.Path, help="where programs are (build/release, or build/simt)")
    parser.add_argument("chapters", nargs="+", metavar="chNN")
    parser.parse_args(namespace=options)
    options.build = options.build and options.build.resolve()
    sys.modules["figures"] = sys.modules[__name__]  # else a chapter's figures.py would import itself
    for name in options.chapters:
        scripts = list(ROOT.glob(f"tutorials/{name}_*/figures.py"))
        if not scripts:
            print(f"{name} has no figures.py")
        for script in scripts:
            options.folder = script.parent
            plt.close("all")
            runpy.run_path(str(script), run_name="__main__")


if __name__ == "__main__":
    main()
