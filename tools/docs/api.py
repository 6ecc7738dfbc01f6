"""Pages about the public headers: what each declares, in its order, with its comments.

Doxygen says what is declared where, and which comment belongs to it; the declarations are shown as they are written.
"""
import html
import pathlib
import re
import subprocess
import textwrap
import xml.etree.ElementTree as ElementTree
from collections import defaultdict
from dataclasses import dataclass, field

import comments
from comments import BEHIND, COMMENT, HEADING, SNIPPET

HERE = pathlib.Path(__file__).parent
WIDTH = 88  # of code, so that it need not scroll on a desk


def public_headers(root):
    """What #include <gradus/gradus.h> brings, directly or not, in the order of the layers."""
    found, waiting = set(), ["gradus/gradus.h"]
    while waiting:
        text = (root / waiting.pop()).read_text(encoding="utf-8")
        for name in re.findall(r'^#include "(.*)"', text, flags=re.MULTILINE):
            if name not in found and (root / name).exists():
                found.add(name)
                waiting.append(name)
    layers = ["tensor", "autograd", "nn", "optim", "data", "train"]
    known = [name for name in found if name.split("/")[0] in layers and "/kernels/" not in name]
    return sorted(known, key=lambda name: (layers.index(name.split("/")[0]), name.count("/"), name))


@dataclass
class Entity:
    kind: str  # function, variable, typedef, enum, class
    name: str
    scope: str
    line: int
    comment: list
    behind: bool  # the comment stands behind the declaration
    end: int = 0  # of its body
    members: list = field(default_factory=list)


def comment_of(element):
    texts = [part.text or "" for part in element.findall("detaileddescription//verbatim")]
    lines = [re.sub(r"^\s*///<? ?", "", line) for line in "\n".join(texts).rstrip().split("\n")] if texts else []
    behind = bool(lines) and lines[0].startswith("<")
    return ([lines[0][1:]] + lines[1:] if behind else lines), behind


def entity(element, kind, qualified):
    place = element.find("location")
    scope, _, name = qualified.rpartition("::")
    comment, behind = comment_of(element)
    return place.get("file"), Entity(kind, name, scope, int(place.get("line")), comment, behind,
                                     int(place.get("bodyend") or 0))


def run_doxygen(root, headers, folder):
    """Doxygen reads copies in which // comments are documentation (comments.py)."""
    for header in headers:
        copy = folder / "headers" / header
        copy.parent.mkdir(parents=True, exist_ok=True)
        copy.write_text(comments.convert((root / header).read_text(encoding="utf-8")), encoding="utf-8")
    config = (HERE / "Doxyfile").read_text(encoding="utf-8") + f"""
INPUT = "{folder / "headers"}"
STRIP_FROM_PATH = "{folder / "headers"}"
OUTPUT_DIRECTORY = "{folder}"
"""
    subprocess.run(["doxygen", "-"], input=config, text=True, check=True)


def read_xml(folder):
    """The outermost entities of each header, sorted by line, classes with their public members."""
    files, classes, members = defaultdict(list), {}, defaultdict(list)
    seen = set()
    for path in sorted((folder / "xml").glob("*.xml")):
        for compound in ElementTree.parse(path).getroot().iter("compounddef"):
            name = compound.findtext("compoundname")
            if compound.get("kind") in ("class", "struct", "union"):
                if compound.get("prot") != "public" or "<" in name:
                    continue
                classes[name] = entity(compound, "class", name)
            elif compound.get("kind") not in ("namespace", "file"):
                continue
            for member in compound.iter("memberdef"):
                kind = member.get("kind")
                if member.get("id") in seen or member.get("prot") != "public" or kind in ("friend", "define"):
                    continue
                seen.add(member.get("id"))
                qualified = member.findtext("qualifiedname") or member.findtext("name")
                if "operator" not in qualified:
                    qualified = qualified.split("<")[0].strip()  # a specialisation has the template's name
                file, found = entity(member, kind, qualified)
                (members[name] if name in classes else files[file]).append(found)
    for name, (file, found) in classes.items():
        found.members += members[name]
        outer = classes.get(found.scope)
        (outer[1].members if outer else files[file]).append(found)
    for file, found in classes.values():
        found.members.sort(key=lambda member: member.line)
    return {file: sorted(found, key=lambda e: e.line) for file, found in files.items()}


class Header:
    """A header's text, to take declarations from."""

    def __init__(self, path):
        self.lines = path.read_text(encoding="utf-8").split("\n")
        self.headings = {i: match["text"] for i, line in enumerate(self.lines, 1) if (match := HEADING.match(line))}

    def intro(self):
        lines = []
        for line in self.lines:
            if not COMMENT.match(line):
                break
            lines.append(COMMENT.match(line)["text"])
        return lines

    def start(self, line):
        """The first line of a declaration whose name stands in `line`."""
        while line > 1:
            before = re.sub(r"\s*//.*", "", self.lines[line - 2]).rstrip()
            if not before or before.startswith("#") or before.endswith((";", "{", "}", ":")):
                break
            line -= 1
        return line

    def declaration(self, found):
        """As it is written, without a body."""
        text, depth = "", 0
        for line in self.lines[self.start(found.line) - 1:]:
            line = re.sub(r"\s*//.*", "", line)
            for i, char in enumerate(line):
                depth += (char in "([") - (char in ")]")
                initialised = char == "{" and found.kind == "variable" or re.search(r"=\s*$", text)
                constructs = char == ":" and found.kind == "function" and ":" not in (line[i - 1:i], line[i + 1:i + 2])
                if depth == 0 and (char == ";" or char == "{" and not initialised or constructs):
                    return textwrap.dedent(text.rstrip()) + ("" if found.kind == "class" else ";")
                text += char
            text += "\n"
        raise ValueError(f"{found.name} in line {found.line} does not end")

    def body(self, found):
        """A structure of variables or an enumeration as a whole; comments too long for the page go above their line."""
        result = []
        for line in textwrap.dedent("\n".join(self.lines[self.start(found.line) - 1:found.end])).split("\n"):
            behind = BEHIND.match(line)
            if SNIPPET.match(line):
                continue
            if behind and len(line) > WIDTH:
                indent = line[:len(line) - len(line.lstrip())]
                result += [f"{indent}// {part}" for part in textwrap.wrap(behind["text"], WIDTH - 3 - len(indent))]
                line = behind["code"]
            result.append(line)
        return "\n".join(result)

    def blank_between(self, first, last):
        return any(not line.strip() for line in self.lines[first:last - 1])

    def heading_between(self, first, last):
        passed = [line for line in self.headings if first < line < last]
        return self.headings[passed[-1]] if passed else None


def prose(lines):
    """A comment as HTML paragraphs, which Markdown leaves alone; what is indented in it is code."""
    blocks, paragraph, code = [], [], []

    def flush():
        if paragraph:
            text = html.escape(" ".join(paragraph), quote=False)
            blocks.append("<p>" + re.sub(r"`([^`]+)`", r"<code>\1</code>", text) + "</p>\n")
        if code:
            blocks.append(fence(textwrap.dedent("\n".join(code)).strip("\n")))
        paragraph.clear()
        code.clear()

    for line in lines:
        if line.startswith("  ") and not paragraph or code and not line.strip():
            code.append(line)
        else:
            if code or not line.strip():
                flush()
            if line.strip():
                paragraph.append(line.strip())
    flush()
    return "\n".join(blocks)


def fence(code):
    return f"```cpp\n{code}\n```\n"


def groups(entities, header):
    """Declarations that one block shows: those that stand together, up to the next with a comment above it."""
    result = []
    for found in entities:
        last = result[-1][-1] if result else None
        apart = last is None or found.comment and not found.behind or {"class", "enum"} & {found.kind, last.kind} or \
            header.blank_between(last.line, found.line) or header.heading_between(last.line, found.line)
        if apart:
            result.append([found])
        else:
            result[-1].append(found)
    return result


def anchor(found):
    """An address within the page: the name, after its class's. Operators have none."""
    if "operator" in found.name:
        return None
    return ".".join([part for part in found.scope.split("::") if part[:1].isupper()] + [found.name])


def declarations(group, header):
    """A block of code, and what its first comment says."""
    lines = []
    for found in group:
        text = header.body(found) if found.kind == "enum" else header.declaration(found)
        note = " ".join(found.comment) if found.behind else ""
        if note and ("\n" in text or len(text) + len(note) + 4 > WIDTH):
            lines += [f"// {line}" for line in textwrap.wrap(note, WIDTH - 3)] + [text]
        else:
            lines.append(f"{text}  // {note}" if note else text)
    anchors = "".join(f'<a id="{name}"></a>' for name in dict.fromkeys(map(anchor, group)) if name)
    comment = [] if group[0].behind else group[0].comment
    return f'<div class="api">{anchors}\n\n{fence(chr(10).join(lines))}\n{prose(comment)}\n</div>\n\n'


def is_plain(found):
    """A structure of variables alone reads best as it is written."""
    return all(member.kind == "variable" for member in found.members)


def class_text(found, header, level):
    if is_plain(found):
        code = header.body(found) if found.members else header.declaration(found) + ";"
        return fence(code) + "\n" + prose(found.comment) + "\n"
    members = [member for member in found.members if member.kind in ("class", "enum") or
               member.comment or not re.search(r"= delete;$|\boverride\b", header.declaration(member))]
    return (fence(header.declaration(found)) + "\n" + prose(found.comment) + '\n<div class="members">\n\n' +
            render(members, header, level + 1, found.line) + "</div>\n\n")


def render(entities, header, level, line):
    """Markdown about these, which stand behind `line`. Classes and sections have headings, and so has what follows
    a class."""
    text, in_section, after_class = "", False, False
    for group in groups(entities, header):
        first = group[0]
        if heading := header.heading_between(line, first.line):
            text += f"{'#' * level} {html.escape(heading[0].upper() + heading[1:])}\n\n"
            in_section, after_class = True, False
        own = f"{'#' * (level + in_section)} "
        if first.kind == "class":
            text += f'<a id="{anchor(first)}"></a>\n\n{own}{first.name}\n\n'
            text += class_text(first, header, level + in_section)
        else:
            names = list(dict.fromkeys(found.name for found in group))
            if level == 2 and (after_class or first.kind == "enum"):
                text += own + html.escape(", ".join(names[:3]) + (", …" if names[3:] else "")) + "\n\n"
            text += declarations(group, header)
        after_class = after_class or first.kind in ("class", "enum")
        line = max(group[-1].line, group[-1].end if first.kind == "class" else 0)
    return text


def page(path, found, header, facts):
    return f"# {path}\n\n{prose(header.intro())}\n{' · '.join(facts)}\n\n{render(found, header, 2, 0)}"


def first_sentence(lines):
    return re.split(r"(?<=[.?])(?<!al\.) (?=[A-Z])", " ".join(" ".join(lines).split()))[0]


def namespaces(entities):
    found = (re.match(r"gradus(::(nn|optim|data|train))?", e.scope) for e in entities)
    return sorted({match[0] for match in found if match})
