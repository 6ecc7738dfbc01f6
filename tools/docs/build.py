"""Builds the site: every Markdown file of the tree, a page about each public header, and the sources.

    build.py [--root DIR] [--site DIR]

Pages keep the places of their files, so that links between them hold; links to other files lead to pages about these
(hooks.py). All that the site shows is copied into it: no page asks the network for anything.
"""
import argparse
import html
import os
import pathlib
import re
import shutil
import subprocess
import sys

import yaml
from fontTools import subset

import api

HERE = pathlib.Path(__file__).resolve().parent
LAYERS = ["tensor", "autograd", "nn", "optim", "data", "train"]
SHOWN = [*LAYERS, "gradus", "examples", "tutorials"]  # folders whose code has pages; elsewhere, what a text links to
SKIPPED = {"build", "exercises", "out", "shared", "golden", "node_modules", "__pycache__"}
LARGEST = 300_000  # bytes of a source that gets a page
PICTURES = {".svg", ".png", ".jpg", ".jpeg", ".gif", ".webp"}
LANGUAGES = {".h": "cpp", ".cpp": "cpp", ".inl": "cpp", ".cu": "cpp", ".cuh": "cpp", ".py": "python", ".sh": "bash",
             ".cmake": "cmake", ".txt": "text", ".csv": "text", ".json": "json", ".dot": "text", "": "text"}
SECTIONS = [  # which pages stand together: the first pattern that fits
    ("Chapters", r"tutorials/(README|ch\d\d_[^/]+/README|TEACHING)\.md"),
    ("Ladders", r"tutorials/.*"),
    ("Programs", r"examples/.*"),
    ("Measurements", r"bench/.*"),
    ("Project", r".*"),
]
KATEX = pathlib.Path("/usr/share/javascript/katex")
INTER, JETBRAINS = "/usr/share/fonts/opentype/inter/Inter-", "/usr/share/fonts/truetype/jetbrains-mono/JetBrainsMono-"
CHINESE = "/usr/share/fonts/opentype/noto/NotoSansCJK-Regular.ttc"
FONTS = [  # family, file, more of its CSS
    ("Inter", INTER + "Regular.otf", "font-weight: 400;"),
    ("Inter", INTER + "Italic.otf", "font-weight: 400; font-style: italic;"),
    ("Inter", INTER + "SemiBold.otf", "font-weight: 700;"),
    ("JetBrains Mono", JETBRAINS + "Regular.ttf", "font-weight: 400;"),
    ("JetBrains Mono", JETBRAINS + "Bold.ttf", "font-weight: 700;"),
    ("Chinese", CHINESE, ""),
    ("Chinese Mono", CHINESE, "size-adjust: 120%;"),  # as wide as two of the others
]
PACKAGES = ["libjs-katex", "fonts-inter", "fonts-jetbrains-mono", "fonts-noto-cjk"]


def tree(root):
    """The files of the working tree that are not built, by their paths from the root."""
    for folder, folders, names in os.walk(root):
        folders[:] = sorted(name for name in folders if name not in SKIPPED and not name.startswith((".", "build-")))
        for name in sorted(names):
            if not name.startswith("."):
                yield (pathlib.Path(folder) / name).relative_to(root).as_posix()


def language(path):
    return "cmake" if path.endswith("CMakeLists.txt") else LANGUAGES.get(pathlib.Path(path).suffix)


def listing(folder):
    """The page that lists the sources of a folder."""
    return f"{folder}/source.md" if folder else "source.md"


def link(text, target, page):
    return f"[{text}]({os.path.relpath(target, os.path.dirname(page) or '.')})"


def title_of(text, otherwise):
    """The first heading as plain text, of chapters "03 Softmax" rather than "Chapter 03: softmax"."""
    match = re.search(r"^# +(.*)", text, re.MULTILINE)
    if not match:
        return otherwise
    chapter = re.fullmatch(r"Chapter (\d\d)[:.]? +(.)(.*)", match[1])
    title = f"{chapter[1]} {chapter[2].upper()}{chapter[3]}" if chapter else match[1]
    return re.sub(r"[`*$]", "", title).strip()


def first_comment(code):
    """What a file says of itself, as Markdown: the first sentence of its first comment."""
    match = re.match(r'(?:#!.*\n)?(?:"""([\s\S]*?)"""|((?:(?://|#(?!\w)).*\n)+))', code)
    lines = re.sub(r"^(//|#) ?", "", match[1] or match[2], flags=re.MULTILINE).split("\n") if match else []
    text = api.first_sentence(lines[:lines.index("")] if "" in lines else lines)
    return " – " + re.sub(r"([\[\]<>*_`|\\$])", r"\\\1", text) if text else ""


def front(**meta):
    return "---\n" + yaml.safe_dump(meta, allow_unicode=True) + "---\n"


class Site:
    def __init__(self, root, work, site):
        self.root, self.work, self.site, self.pages = root, work, site, work / "pages"
        self.files = list(tree(root))
        self.texts = {path: self.read(path) for path in self.files if path.endswith(".md")}
        self.titles = {path: title_of(text, path) for path, text in self.texts.items()}
        self.headers = api.public_headers(root) if (root / "gradus/gradus.h").exists() else []
        self.links = self.linked()

    def read(self, path):
        return (self.root / path).read_text(encoding="utf-8", errors="replace")

    def write(self, path, text):
        target = self.pages / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text, encoding="utf-8")

    def copy(self, source, target):
        (self.pages / target).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source, self.pages / target)

    def linked(self):
        """The files that texts link to, each with the texts that do."""
        links = {}
        for page, text in self.texts.items():
            for target in re.findall(r"\]\(([^)#\s]+)", text):
                if "://" not in target:
                    path = os.path.normpath(os.path.join(os.path.dirname(page), target))
                    links.setdefault(path, dict())[page] = True
        return links

    def copy_texts(self):
        for path in self.files:
            if path in self.texts or pathlib.Path(path).suffix in PICTURES:
                self.copy(self.root / path, path)

    def sources(self):
        """A page about each file of code, and one about each folder with some."""
        folders = {"": []}
        self.shown = []
        for path in self.files:
            kind = language(path)
            if kind is None or path.split("/")[0] not in SHOWN and path not in self.links:
                continue
            if path in self.texts or (self.root / path).stat().st_size > LARGEST:
                continue
            page, folder = path + ".md", os.path.dirname(path)
            facts = [link(f"{folder}/" if folder else "all sources", listing(folder), page)]
            if path in self.headers:
                facts.append(link("what it declares", f"api/{page}", page))
            self.write(page, front(title=path, source=kind, search={"exclude": True}, hide=["toc"]) +
                       f"# `{path}`\n\n{' · '.join(facts)}\n")  # hooks.py adds the code
            self.shown.append(path)
            folders.setdefault(folder, []).append(path)
            while folder:
                folder = os.path.dirname(folder)
                folders.setdefault(folder, [])
        for folder, files in folders.items():
            page, name = listing(folder), f"{folder}/" if folder else "Sources"
            lines = [link("..", listing(os.path.dirname(folder)), page)] if folder else []
            lines += [link(f"`{os.path.basename(inner)}/`", listing(inner), page)
                      for inner in sorted(folders) if inner and os.path.dirname(inner) == folder]
            lines += [link(f"`{os.path.basename(path)}`", path, page) + first_comment(self.read(path))
                      for path in files]
            self.write(page, front(title=name, search={"exclude": True}) +
                       f"# {name}\n\n" + "".join(f"- {line}\n" for line in lines))

    def reference(self):
        """Pages about the public headers, and their list; returns their part of the navigation."""
        if not self.headers:
            return []
        api.run_doxygen(self.root, self.headers, self.work / "doxygen")
        entities = api.read_xml(self.work / "doxygen")
        rows, names = {}, {}
        for path in self.headers:
            page, found, header = f"api/{path}.md", entities.get(path, []), api.Header(self.root / path)
            facts = [f"`namespace {name}`" for name in api.namespaces(found)] + [link("source", path, page)]
            if path in self.links:
                facts.append("read about it in " + ", ".join(link(self.titles[text], text, page)
                                                             for text in self.links[path]))
            self.write(page, front(title=path) + api.page(path, found, header, facts))
            intro = html.escape(api.first_sentence(header.intro())).replace("|", "\\|")
            rows.setdefault(path.split("/")[0], []).append((path, intro))
            for entity in found:
                if place := api.anchor(entity):
                    names.setdefault(entity.name, f"{path}.md#{place}")
        self.api_index(rows, names)
        return ["api/README.md"] + [{layer: [f"api/{path}.md" for path, _ in headers]}
                                    for layer, headers in rows.items()]

    def api_index(self, rows, names):
        text = front(title="The library") + """# The library

What `#include <gradus/gradus.h>` brings: a page for each header, with its comments. A layer includes those that its
arrows lead to, and nothing else.

![The layers](layers.svg)

"""
        for layer, headers in rows.items():
            text += f"## {layer}\n\n| header | what |\n| --- | --- |\n"
            text += "".join(f"| [`{path}`]({path}.md) | {intro} |\n" for path, intro in headers) + "\n"
        text += "## All names\n"
        letter = ""
        for name in sorted(names, key=str.lower):
            if name[0].upper() != letter:
                letter = name[0].upper()
                text += f"\n**{letter}**\n"
            text += f"[`{name}`]({names[name]})\n"
        text += "\n## All sources\n\nThe files themselves, [folder by folder](../source.md).\n"
        self.write("api/README.md", text)
        self.write("api/layers.svg", self.layers())

    def layers(self):
        """Which layer includes which, by the #includes, but for what other arrows say already."""
        below = {layer: set() for layer in LAYERS}
        for path in self.files:
            if language(path) == "cpp" and path.split("/")[0] in below:
                below[path.split("/")[0]] |= set(re.findall(r'^#include "(\w+)/', self.read(path), re.MULTILINE))
        below = {layer: {name for name in names if name in below and name != layer} for layer, names in below.items()}
        arrows = [f"{layer} -> {name};" for layer, names in below.items() for name in sorted(names)
                  if not any(name in below[other] for other in names)]
        dot = ('digraph { rankdir=LR; bgcolor=white; node [shape=box style="rounded,filled" fillcolor="#eef3f9" '
               'color="#1b5e9e" fontname=Helvetica fontsize=13 height=0.4]; edge [color="#5a6675" arrowsize=0.7];\n' +
               "\n".join(arrows) + "\n}\n")
        return subprocess.run(["dot", "-Tsvg"], input=dot, text=True, capture_output=True, check=True).stdout

    def navigation(self, reference):
        """Chapters by their numbers, other pages in the order in which texts mention them."""
        order = {}
        for page in ("tutorials/README.md", "README.md"):
            for target in re.findall(r"\]\(([^)#\s]+)", self.texts.get(page, "")):
                order.setdefault(os.path.normpath(os.path.join(os.path.dirname(page), target)), len(order))
        rank = {"tutorials/README.md": 0, "tutorials/TEACHING.md": 2}
        sections = {title: [] for title, _ in SECTIONS}
        for path in sorted(self.texts, key=lambda p: (rank.get(p, 1), order.get(p, 999) if "/ch" not in p else 0, p)):
            if path != "README.md":
                title = next(title for title, pattern in SECTIONS if re.fullmatch(pattern, path))
                sections[title].append({self.titles[path]: path})
        nav = [{"Home": "README.md"}]
        for title, pages in sections.items():
            if title == "Project" and reference:
                nav.append({"API": reference})
            if pages:
                nav.append({title: pages})
        return nav

    def assets(self):
        shutil.copytree(HERE / "assets", self.pages / "assets")
        for name in ["katex.min.js", "katex.min.css", *(f"fonts/{f.name}" for f in KATEX.glob("fonts/*.woff2"))]:
            self.copy(KATEX / name, f"assets/katex/{name}")
        for package in PACKAGES:
            if os.path.exists(f"/usr/share/doc/{package}/copyright"):
                self.copy(f"/usr/share/doc/{package}/copyright", f"assets/licences/{package}.txt")

    def fonts(self):
        """Of each font the characters that the site uses, so that it looks the same wherever it is read, and Chinese
        is there wherever it is."""
        used = {chr(code) for code in range(0x20, 0x180)}
        for path in [*self.pages.rglob("*.md"), *(self.root / path for path in self.shown)]:
            used |= set(path.read_text(encoding="utf-8", errors="replace"))
        css = ""
        for family, file, more in FONTS:
            target = self.pages / f"assets/fonts/{pathlib.Path(file).stem}.woff2"
            if not target.exists():
                wide = file == CHINESE
                shrink(file, {c for c in used if (ord(c) >= 0x2e80) == wide}, target)
            css += (f'@font-face {{ font-family: "{family}"; {more} font-display: swap; '
                    f'src: url("fonts/{target.name}") format("woff2"); }}\n')
        self.write("assets/fonts.css", css)

    def build(self):
        for needed in [KATEX, *(file for _, file, _ in FONTS)]:
            if not os.path.exists(needed):
                sys.exit(f"error: there is no {needed} (Debian has it in one of {', '.join(PACKAGES)})")
        shutil.rmtree(self.work, ignore_errors=True)
        self.pages.mkdir(parents=True)
        self.copy_texts()
        self.sources()
        reference = self.reference()
        self.assets()
        self.fonts()
        config = {"INHERIT": str(HERE / "mkdocs.yml"), "docs_dir": str(self.pages), "site_dir": str(self.site),
                  "hooks": [str(HERE / "hooks.py")], "nav": self.navigation(reference),
                  "extra": {"root": str(self.root), "headers": self.headers, "generator": False,
                            "polyfills": ["assets/iframe-worker.js"]}}
        (self.work / "mkdocs.yml").write_text(yaml.safe_dump(config, allow_unicode=True, sort_keys=False),
                                              encoding="utf-8")
        command = [sys.executable, "-m", "mkdocs", "build", "--quiet", "-f", str(self.work / "mkdocs.yml")]
        environment = {**os.environ, "PYTHONPATH": str(HERE), "NO_MKDOCS_2_WARNING": "1"}
        if subprocess.run(command, env=environment).returncode:
            sys.exit("error: MkDocs could not build the site")
        (self.site / "404.html").unlink(missing_ok=True)  # for servers that know where the site begins


def shrink(file, characters, target):
    target.parent.mkdir(parents=True, exist_ok=True)
    options = subset.Options(flavor="woff2", notdef_outline=True, layout_features=["kern", "ccmp", "locl", "mark"],
                             font_number=2 if file.endswith(".ttc") else -1)  # 2: simplified Chinese
    font = subset.load_font(file, options)
    subsetter = subset.Subsetter(options)
    subsetter.populate(text="".join(sorted(characters)))
    subsetter.subset(font)
    subset.save_font(font, str(target), options)


def main():
    parser = argparse.ArgumentParser(description="Builds the site.")
    parser.add_argument("--root", type=pathlib.Path, default=HERE.parent.parent, help="the tree")
    parser.add_argument("--site", type=pathlib.Path, help="where the site goes: build/site of the tree")
    args = parser.parse_args()
    site = (args.site or args.root / "build/site").resolve()
    Site(args.root.resolve(), site.with_name(site.name + "-work"), site).build()


if __name__ == "__main__":
    main()
