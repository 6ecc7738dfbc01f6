"""Markdown as GitHub reads it, in the place of Python-Markdown, whose rules for lists, tables and comments differ.

An extension of Python-Markdown that takes over its `convert`: MkDocs calls that and then reads `toc_tokens`.
"""
import html
import re

import markdown
import pygments
import pygments.formatters
import pygments.lexers
from markdown_it import MarkdownIt
from mdit_py_plugins.dollarmath import dollarmath_plugin
from mdit_py_plugins.footnote import footnote_plugin

ALERTS = {"NOTE": "note", "TIP": "tip", "IMPORTANT": "info", "WARNING": "warning", "CAUTION": "danger"}


def slug(text, taken):
    """The anchor GitHub gives a heading; `taken` counts those of this page."""
    anchor = re.sub(r"[^\w\- ]", "", text.strip().lower()).replace(" ", "-")
    count = taken.get(anchor, 0)
    taken[anchor] = count + 1
    return f"{anchor}-{count}" if count else anchor


def highlight(code, language, numbered=False):
    """Code with its colours; if numbered, with GitHub's anchors too (#L18)."""
    try:
        lexer = pygments.lexers.get_lexer_by_name(language or "text", stripnl=False)
    except pygments.util.ClassNotFound:
        lexer = pygments.lexers.get_lexer_by_name("text", stripnl=False)
    spans = "L" if numbered else ""
    text = pygments.highlight(code, lexer, pygments.formatters.HtmlFormatter(wrapcode=True, linespans=spans))
    width = len(str(code.count("\n")))
    return re.sub(r'<span id="L-(\d+)">', lambda m: f'<span id="L{m[1]}"><a href="#L{m[1]}" tabindex="-1" '
                  f'data-linenos="{m[1]:>{width}} "></a>', text)


def formula(tag, kind):
    """How a formula is rendered: its source, in whose place assets/gradus.js puts what KaTeX makes of it."""
    return lambda self, tokens, i, options, env: \
        f'<{tag} class="formula{kind}">{html.escape(tokens[i].content.strip())}</{tag}>' + "\n" * (tag == "div")


def fence(self, tokens, i, options, env):
    language = tokens[i].info.strip().split(" ")[0]
    if language == "math":
        return formula("div", " display-formula")(self, tokens, i, options, env)
    return highlight(tokens[i].content, language)


def without_comments(self, tokens, i, options, env):
    """Weave's markers and the like are of no use to readers."""
    return re.sub(r"<!--.*?-->\n?", "", tokens[i].content, flags=re.DOTALL)


def headings(tokens, taken):
    """Gives headings their anchors; returns them as the nested list that MkDocs takes as a table of contents."""
    top = {"level": 0, "children": []}
    path = [top]
    for opening, inline in zip(tokens, tokens[1:]):
        if opening.type != "heading_open":
            continue
        level = int(opening.tag[1])
        text = "".join(t.content for t in inline.children if t.type in ("text", "code_inline", "math_inline"))
        anchor = slug(text, taken)
        opening.attrSet("id", anchor)
        name = "".join(f'<span class="formula">{html.escape(t.content)}</span>' if t.type == "math_inline"
                       else html.escape(t.content)
                       for t in inline.children if t.type in ("text", "code_inline", "math_inline"))
        while path[-1]["level"] >= level:
            path.pop()
        entry = {"level": level, "id": anchor, "name": name, "html": name, "children": [], "data-toc-label": ""}
        path[-1]["children"].append(entry)
        path.append(entry)
    return top["children"]


def heading_close(self, tokens, i, options, env):
    anchor = tokens[i - 2].attrGet("id")
    return f'<a class="headerlink" href="#{anchor}" title="Link to this section">¶</a></{tokens[i].tag}>\n'


def alerts(tokens):
    """> [!NOTE] and its like become Material's admonitions."""
    open_ones = []
    for i, token in enumerate(tokens):
        if token.type == "blockquote_open":
            inline = tokens[i + 2] if i + 2 < len(tokens) else None
            match = inline and inline.type == "inline" and re.match(r"\[!([A-Z]+)\]\s*$", inline.children[0].content)
            kind = ALERTS.get(match[1]) if match else None
            if kind:
                token.tag = "div"
                token.attrSet("class", f"admonition {kind}")
                del inline.children[:2]  # the mark and the end of its line
            open_ones.append(token.tag)
        elif token.type == "blockquote_close":
            token.tag = open_ones.pop()


def convert(source):
    """HTML and the table of contents."""
    parser = MarkdownIt("commonmark", {"html": True}).enable(["table", "strikethrough"])
    parser.use(dollarmath_plugin, allow_labels=False, allow_space=False, allow_digits=False, allow_blank_lines=False,
               double_inline=True)
    parser.use(footnote_plugin)
    for name, rule in {"fence": fence, "html_block": without_comments, "html_inline": without_comments,
                       "heading_close": heading_close}.items():
        parser.add_render_rule(name, rule)
    for name, tag, kind in (("math_inline", "span", ""), ("math_inline_double", "span", " display-formula"),
                            ("math_block", "div", " display-formula")):
        parser.add_render_rule(name, formula(tag, kind))
    # GitHub's other way of writing a formula in a line, $`x`$, which keeps Markdown out of it.
    source = re.sub(r"(?<![\\$`\w])\$`([^`\n]+)`\$(?![\w`])", r"$\1$", source)
    env = {}
    tokens = parser.parse(source, env)
    alerts(tokens)
    contents = headings(tokens, {})
    return parser.renderer.render(tokens, parser.options, env), contents


class GitHubMarkdown(markdown.Extension):
    def extendMarkdown(self, md):
        def take_over(source):
            page, md.toc_tokens = convert(source)
            return page
        md.convert = take_over


def makeExtension(**options):
    return GitHubMarkdown(**options)
