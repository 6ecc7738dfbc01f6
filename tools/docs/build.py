"""Builds the site: every Markdown file of the tree, a page about each public header, and the sources they lead to.

  build.py [--root DIR] [--site DIR]

Pages keep the places of their files, so that links between them hold; links to other files lead to pages about these
(hooks.py). Everything the site shows is copied into it: no page asks the network for anything.
"""
import argparse
import os
import pathlib
import re
import shutil
import subprocess
import sys

import yaml
from fontTools import subset

import api
import github_markdown

HERE = pathlib.Path(__file__).resolve().parent
SKIPPED = {"build", "exercises", "out", "shared", "node_modules", "__pycache__", "golden"}
PICTURES = {".svg", ".png", ".jpg", ".jpeg", ".gif", ".webp"}
LANGUAGES = {".h": "cpp", ".cpp": "cpp", ".inl": "cpp", ".cu": "cpp", ".cuh": "cpp", ".py": "python", ".sh": "bash",
             ".cmake": "cmake", ".txt": "text", ".csv": "text", ".json": "json", ".dot": "dot", "": "text"}
FONTS = {  # family: (Debian package, file, weight, style, more CSS)
    "text": [("Inter", "fonts-inter", "opentype/inter/Inter-Regular.otf", 400, "normal"),
             ("Inter", "fonts-inter", "opentype/inter/Inter-Italic.otf", 400, "italic"),
             ("Inter", "fonts-inter", "opentype/inter/Inter-SemiBold.otf", 700, "normal")],
    "code": [("JetBrains Mono", "fonts-jetbrains-mono", "truetype/jetbrains-mono/JetBrainsMono-Regular.ttf", 400, "normal"),
             ("JetBrains Mono", "fonts-jetbrains-mono", "truetype/jetbrains-mono/JetBrainsMono-Bold.ttf", 700, "normal")],
}
CHINESE = "opentype/noto/NotoSansCJK-Regular.ttc"
SECTIONS = [  # (title, which files), the first that fits
    ("Chapters", r"tutorials/(README|ch\d\d_[^/]+/README|TEACHING)\.md"),
    ("Ladders", r"tutorials/.*"),
    ("Programs", r"examples/.*"),
    ("Measurements", r"bench/.*"),
    ("Project", r".*"),
]


def tree(root):
    """All files of the working tree that are not built, by their paths from the root."""
    for folder, folders, names in os.walk(root):
        folders[:] = sorted(f for f in folders if f not in SKIPPED and not f.startswith((".", "build-")))
        for name in sorted(names):
            if not name.startswith("."):
                yield (pathlib.Path(folder) / name).relative_to(root).as_posix()


def language(path):
    if path.endswith("CMakeLists.txt"):
        return "cmake"
    return LANGUAGES.get(pathlib.Path(path).suffix)


def title_of(text, otherwise):
    """The first heading, as plain text."""
    for line in text.split("\n"):
        if match := re.match(r"# +(.*)", line):
            return re.sub(r"[`*]", "", match[1]).strip()
    return otherwise


def order(path, mentioned):
    """Chapters by number, other pages as the texts mention them."""
    name = pathlib.Path(path)
    return (path.count("/") if path == "README.md" else 1,
            {"tutorials/README.md": 0, "tutorials/TEACHING.md": 2}.get(path, 1),
            mentioned.get(path, len(mentioned)) if "/ch" not in path else 0, name.as_posix())


class Site:
    def __init__(self, root, work, site):
        self.root, self.work, self.site = root, work, site
        self.pages = work / "pages"
        self.files = list(tree(root))
        self.markdown = [path for path in self.files if path.endswith(".md")]
        self.text = {path: (root / path).read_text(encoding="utf-8") for path in self.markdown}
        self.titles = {path: title_of(text, path) for path, text in self.text.items()}
        self.headers = [h for h in api.public_headers(root)] if (root / "gradus/gradus.h").exists() else []

    def write(self, path, text):
        target = self.pages / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text, encoding="utf-8")

    def linked(self):
        """What the texts link to, by files; each with the pages that do so, in the order of the site."""
        links = {}
        for page in self.markdown:
            for target in re.findall(r"\]\(([^)#\s]+)[^)]*\)", self.text[page]):
                if "://" not in target:
                    path = os.path.normpath(os.path.join(os.path.dirname(page), target))
                    links.setdefault(path, []).append(page)
        return links

    def texts(self):
        for path in self.files:
            if path.endswith(".md") or pathlib.Path(path).suffix in PICTURES:
                (self.pages / path).parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(self.root / path, self.pages / path)

    def sources(self, links):
        """Pages of code: of the library, of programs and tutorials, and of whatever else a text links to."""
        shown = ("tensor", "autograd", "nn", "optim", "data", "train", "gradus", "examples", "tutorials")
        folders = {}
        for path in self.files:
            kind = language(path)
            if kind is None or path.endswith(".md") or path.split("/")[0] not in shown and path not in links:
                continue
            code = (self.root / path).read_text(encoding="utf-8", errors="replace")
            if code.count("\n") > 5000:
                continue
            about = f"api/{path}.md" if path in self.headers else None
            here = os.path.dirname(path) or "."
            note = f"[{here}/]({os.path.relpath(listing(os.path.dirname(path)), here)})" if here != "." else ""
            if about:
                note += f" · [what it declares]({os.path.relpath(about, here)})"
            self.write(path + ".md", f"---\ntitle: {path}\nsource: {kind}\nsearch:\n  exclude: true\nhide: [toc]\n---\n"
                                     f"# `{path}`\n\n{note}\n")
            folder = os.path.dirname(path)
            folders.setdefault(folder, []).append((path, first_comment(code)))
            while folder:
                folder = os.path.dirname(folder)
                folders.setdefault(folder, [])
        folders.setdefault("", [])
        for folder, files in folders.items():
            inside = sorted(f for f in folders if f and os.path.dirname(f) == folder)
            lines = [f"- [`{os.path.basename(f)}/`]({os.path.relpath(listing(f), os.path.dirname(listing(folder)) or '.')})" for f in inside]
            lines += [f"- [`{os.path.basename(path)}`]({os.path.relpath(path, os.path.dirname(listing(folder)) or '.')}) {note}" for path, note in files]
            name = folder + "/" if folder else "Source"
            self.write(listing(folder), f"---\ntitle: {name}\nsearch:\n  exclude: true\n---\n# {name}\n\n" + "\n".join(lines) + "\n")

    def reference(self, links):
        """Pages of the API, and their list."""
        if not self.headers:
            return []
        api.run_doxygen(self.root, self.headers, self.work / "doxygen")
        entities = api.read_xml(self.work / "doxygen")
        rows, names = {}, []
        for path in self.headers:
            found, header = entities.get(path, []), api.Header(self.root / path)
            up = os.path.relpath(".", os.path.dirname(f"api/{path}"))
            facts = [f"`namespace {name}`" for name in api.namespaces(found)] + [f"[source]({up}/{path})"]
            if path in links:
                facts.append("read about it in " + ", ".join(
                    f"[{self.titles[page]}]({up}/{page})" for page in dict.fromkeys(links[path])))
            self.write(f"api/{path}.md", f"---\ntitle: {path}\n---\n" + api.page(path, found, header, facts))
            rows.setdefault(path.split("/")[0], []).append((path, " ".join(header.intro()[:1])))
            for e in found:
                names.append((e.name, f"{path}#{api.anchor(e) or github_markdown.slug(e.name, {})}"))
        text = ("# The library\n\nWhat `#include <gradus/gradus.h>` brings: one page for each header, with its comments. "
                "A layer includes what is below it and nothing else.\n\n![The layers](layers.svg)\n\n")
        for layer, headers in rows.items():
            text += f"## {layer}\n\n| header | what |\n| --- | --- |\n"
            text += "".join(f"| [`{path}`]({path}.md) | {intro.replace('|', chr(92) + '|')} |\n" for path, intro in headers)
            text += "\n"
        text += "## All names\n\n"
        letters = {}
        for name, place in sorted(dict(reversed(names)).items(), key=lambda item: item[0].lower()):
            if "operator" not in name:
                page, _, fragment = place.partition("#")
                letters.setdefault(name[0].upper(), []).append(f"[`{name}`]({page}.md#{fragment})")
        text += "\n\n".join(f"**{letter}** " + " ".join(items) for letter, items in letters.items())
        text += "\n\n## All sources\n\nThe files themselves, [folder by folder](../source.md).\n"
        self.write("api/README.md", text)
        self.layers()
        return ["api/README.md"] + [{layer: [f"api/{path}.md" for path, _ in headers]} for layer, headers in rows.items()]

    def layers(self):
        """Which layer includes which, drawn from the #includes."""
        arrows = set()
        for path in self.files:
            layer = path.split("/")[0]
            if layer in ("tensor", "autograd", "nn", "optim", "data", "train") and language(path) == "cpp":
                code = (self.root / path).read_text(encoding="utf-8")
                arrows |= {(layer, name) for name in re.findall(r'^#include "(\w+)/', code, re.MULTILINE) if name != layer}
        reach = lambda a, b: (a, b) in arrows or any(x == a and reach(y, b) for x, y in arrows)
        needed = sorted((a, b) for a, b in arrows if not any((a, c) in arrows and reach(c, b) for _, c in arrows if c not in (a, b)))
        dot = ("digraph { rankdir=LR; bgcolor=white; node [shape=box style=\"rounded,filled\" fillcolor=\"#eef2fb\" color=\"#4a62a8\" "
               "fontname=Helvetica fontsize=13 height=0.4]; edge [color=\"#4a62a8\" arrowsize=0.7];\n"
               + "".join(f"{a} -> {b};\n" for a, b in needed) + "}\n")
        svg = subprocess.run(["dot", "-Tsvg"], input=dot, text=True, capture_output=True, check=True).stdout
        self.write("api/layers.svg", svg)

    def navigation(self, reference):
        nav = [{"Home": "README.md"}]
        mentioned = {}
        for page in ["tutorials/README.md", "README.md"]:
            for target in re.findall(r"\]\(([^)#\s]+)", self.text.get(page, "")):
                path = os.path.normpath(os.path.join(os.path.dirname(page), target))
                mentioned.setdefault(path, len(mentioned))
        sections = {title: [] for title, _ in SECTIONS}
        for path in sorted(self.markdown, key=lambda path: order(path, mentioned)):
            if path != "README.md":
                sections[next(t for t, pattern in SECTIONS if re.fullmatch(pattern, path))].append({self.titles[path]: path})
        for title, pages in sections.items():
            if title == "Project" and reference:
                nav.append({"API": reference})
            if pages:
                nav.append({title: pages})
        return nav

    def assets(self):
        shutil.copytree(HERE / "assets", self.pages / "assets", dirs_exist_ok=True)
        katex = pathlib.Path("/usr/share/javascript/katex")
        if not katex.exists():
            sys.exit("error: KaTeX is not installed (Debian: libjs-katex)")
        for name in ["katex.min.js", "katex.min.css"]:
            self.copy(katex / name, f"assets/katex/{name}")
        for font in sorted((katex / "fonts").glob("*.woff2")):
            self.copy(font, f"assets/katex/fonts/{font.name}")
        for package in ["libjs-katex", "fonts-inter", "fonts-jetbrains-mono", "fonts-noto-cjk"]:
            if os.path.exists(f"/usr/share/doc/{package}/copyright"):
                self.copy(f"/usr/share/doc/{package}/copyright", f"assets/licences/{package}.txt")
        self.fonts()

    def copy(self, source, target):
        (self.pages / target).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source, self.pages / target)

    def fonts(self):
        """The characters that the site uses, so that it looks the same everywhere and Chinese is never empty boxes."""
        used = {chr(code) for code in range(0x20, 0x180)}
        for path in self.pages.rglob("*.md"):
            used |= set(path.read_text(encoding="utf-8"))
        for path in self.files:
            if (self.pages / (path + ".md")).exists():
                used |= set((self.root / path).read_text(encoding="utf-8", errors="replace"))
        css = ""
        fonts = pathlib.Path("/usr/share/fonts")
        todo = [(family, fonts / file, weight, style, "", False) for kind in FONTS.values() for family, _, file, weight, style in kind]
        todo.append(("Chinese", fonts / CHINESE, 400, "normal", "", True))
        for i, (family, file, weight, style, more, chinese) in enumerate(todo):
            if not file.exists():
                sys.exit(f"error: there is no font {file}")
            wanted = {c for c in used if ord(c) >= 0x2e80} if chinese else {c for c in used if ord(c) < 0x2e80}
            name = f"{file.stem}.woff2"
            make_subset(file, wanted, self.pages / "assets/fonts" / name)
            face = f'font-weight: {weight}; font-style: {style}; font-display: swap; src: url("fonts/{name}") format("woff2");'
            css += f'@font-face {{ font-family: "{family}"; {face} }}\n'
            if chinese:  # in code a Chinese character is as wide as two others
                css += f'@font-face {{ font-family: "Chinese Mono"; size-adjust: 120%; {face} }}\n'
        self.write("assets/fonts.css", css)

    def build(self):
        shutil.rmtree(self.work, ignore_errors=True)
        self.pages.mkdir(parents=True)
        links = self.linked()
        self.texts()
        self.sources(links)
        reference = self.reference(links)
        self.assets()
        config = {"INHERIT": str(HERE / "mkdocs.yml"), "docs_dir": str(self.pages), "site_dir": str(self.site),
                  "hooks": [str(HERE / "hooks.py")], "nav": self.navigation(reference),
                  "extra": {"root": str(self.root), "headers": self.headers, "generator": False,
                            "polyfills": ["assets/iframe-worker.js"]}}
        (self.work / "mkdocs.yml").write_text(yaml.safe_dump(config, allow_unicode=True, sort_keys=False), encoding="utf-8")
        subprocess.run([sys.executable, "-m", "mkdocs", "build", "--quiet", "-f", str(self.work / "mkdocs.yml")], check=True,
                       env={**os.environ, "PYTHONPATH": str(HERE), "NO_MKDOCS_2_WARNING": "1", "DISABLE_MKDOCS_2_WARNING": "true"})


def listing(folder):
    """The page that lists the sources of a folder: its own place may be taken by a README."""
    return f"{folder}/source.md" if folder else "source.md"


def first_comment(code):
    """What a file says of itself."""
    match = re.match(r"(?:#!.*\n)?(?:// |# |\"\"\")(.*)", code)
    return "– " + re.sub(r"[\[\]<>*_`|\\$]", r"\\\g<0>", match[1].rstrip('"')) if match else ""


def make_subset(file, characters, target):
    target.parent.mkdir(parents=True, exist_ok=True)
    options = subset.Options(flavor="woff2", layout_features=["kern", "ccmp", "locl", "mark", "mkmk", "tnum", "calt"], notdef_outline=True,
                             font_number=2 if file.suffix == ".ttc" else -1)  # 2: simplified Chinese
    font = subset.load_font(str(file), options)
    worker = subset.Subsetter(options)
    worker.populate(text="".join(sorted(characters)))
    worker.subset(font)
    subset.save_font(font, str(target), options)


def main():
    parser = argparse.ArgumentParser(description="Builds the site.")
    parser.add_argument("--root", type=pathlib.Path, default=HERE.parent.parent)
    parser.add_argument("--site", type=pathlib.Path)
    args = parser.parse_args()
    root = args.root.resolve()
    site = (args.site or root / "build/site").resolve()
    Site(root, site.parent / (site.name + "-pages"), site).build()


if __name__ == "__main__":
    main()
