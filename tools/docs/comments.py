"""Makes // comments of a header what Doxygen takes as documentation, word for word, in as many lines.

A comment right above a declaration belongs to it, and so does one behind it (which begins with "<" then). Headings
(// --- ... ---), marks of snippets (//! [name]) and what stands alone are left out.
"""
import re

COMMENT = re.compile(r"^\s*//(?!!) ?(?P<text>.*)$")
HEADING = re.compile(r"^\s*// --- (?P<text>.*?) -*$")
SNIPPET = re.compile(r"^\s*//! \[")
BEHIND = re.compile(r"^(?P<code>.*\S)\s+// (?P<text>.*)$")


def verbatim(texts, opening, mark=""):
    lines = [f"{opening} {text}" for text in texts]
    lines[0] = f"{opening} \\verbatim {mark}{texts[0]}"
    lines[-1] += " \\endverbatim"
    return lines


def convert(source):
    source_lines = source.split("\n")
    lines = ["" if SNIPPET.match(line) else line for line in source_lines]
    result = []
    while len(result) < len(lines):
        i = len(result)
        texts = []
        while i + len(texts) < len(lines):
            line = lines[i + len(texts)]
            if not COMMENT.match(line) or HEADING.match(line):
                break
            texts.append(COMMENT.match(line)["text"])
        behind = BEHIND.match(lines[i])
        if texts:
            behind_marks = (line for line in source_lines[i + len(texts):] if not SNIPPET.match(line))
            following = next(behind_marks, "").strip()
            belongs = following and not following.startswith(("}", "#", "//"))
            result += verbatim(texts, "///") if belongs else [""] * len(texts)
        elif behind and behind["code"].endswith((";", "}")):
            texts = [behind["text"]]
            start = " " * lines[i].index("// " + behind["text"]) + "// "  # further lines stand below the first
            while i + len(texts) < len(lines) and lines[i + len(texts)].startswith(start):
                texts.append(lines[i + len(texts)].strip()[3:])
            block = verbatim(texts, "///<", "<")
            result += [behind["code"] + " " + block[0]] + block[1:]
        else:
            result.append(lines[i])
    return "\n".join(result)

