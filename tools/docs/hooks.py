"""What MkDocs does to each page besides: links lead to pages, code names files, sources are shown."""
import html
import pathlib
import posixpath
import re

import github_markdown


def page_for(path, fragment, page, files, config):
    """The page (its address from the site's root) about a file or folder of the tree, or None."""
    def url(name, fragment=fragment):
        found = files.get_file_from_path(name)
        return found and found.url + (f"#{fragment}" if fragment else "")

    fragment = re.sub(r"^(L\d+)-L?\d+$", r"\1", fragment)  # lines so to so: the first of them
    generated = page.file.src_uri.startswith("api/") or "source" in page.meta or page.file.src_uri.endswith("source.md")
    if path in config.extra["headers"] and not fragment and not generated:
        return url(f"api/{path}.md")
    if path.endswith(".md"):
        return url(path)
    return url(path + ".md", fragment) or url(f"{path}/README.md") or url(posixpath.join(path, "source.md"))


def address(target, page, files, config):
    """Where a link should lead, from this page; None if it may stay as it is."""
    target = html.unescape(target)
    if re.match(r"[a-z][a-z0-9+.-]*:|//|#", target):
        return None
    path, _, fragment = target.partition("#")
    path = posixpath.normpath(posixpath.join(posixpath.dirname(page.file.src_uri), path))
    found = page_for(path, fragment, page, files, config)
    if not found:
        return None
    return html.escape(relative(found, page))


def relative(url, page):
    path, hash_, fragment = url.partition("#")
    return posixpath.relpath(path, posixpath.dirname(page.file.url) or ".") + hash_ + fragment


def on_page_markdown(markdown, page, config, files):
    if page.is_homepage:
        page.meta["hide"] = ["navigation"]
    if re.fullmatch(r"tutorials/ch\d\d_[^/]+/README.md", page.file.src_uri):
        page.meta["search"] = {"boost": 2}  # the search shows them first
    return markdown


def on_page_content(content, page, config, files):
    if "source" in page.meta:
        content = show_source(content, page, config, files)

    def link(match):
        found = address(match[2], page, files, config)
        return match[1] + (found or match[2]) + match[3]

    content = re.sub(r'(<a [^>]*?href=")([^"]*)(")', link, content)
    if "source" not in page.meta:
        content = link_named_files(content, page, config, files)
    return content


def link_named_files(content, page, config, files):
    """`nn/linear.h` in a text leads there: a path from the root, or from the page's own folder."""
    here = posixpath.dirname(page.file.src_uri)

    def link(match):
        if match[1]:  # a link already, a block of code, a heading
            return match[0]
        name = html.unescape(match[2]).rstrip("/")
        for path in [name] + ([posixpath.join(here, name)] if here else []):
            if re.fullmatch(r"[\w./-]+", name) and ("/" in name or "." in name):
                found = page_for(posixpath.normpath(path), "", page, files, config)
                if found and found != page.file.url:
                    return f'<a href="{relative(found, page)}"><code>{match[2]}</code></a>'
        return match[0]

    others = r"<a [^>]*>.*?</a>|<pre.*?</pre>|<h\d.*?</h\d>"
    return re.sub(rf"({others})|<code>([^<]+)</code>", link, content, flags=re.DOTALL)


def show_source(content, page, config, files):
    """The file itself, each line with a number that can be linked to, each #include with a link."""
    path = page.file.src_uri[:-len(".md")]
    code = (pathlib.Path(config.extra["root"]) / path).read_text(encoding="utf-8", errors="replace")
    shown = github_markdown.highlight(code, page.meta["source"], numbered=True)

    def include(match):
        found = files.get_file_from_path(match[1] + ".md")
        return f'&quot;<a href="{relative(found.url, page)}">{match[1]}</a>&quot;' if found else match[0]

    return content + re.sub(r"&quot;([\w./]+)&quot;(?=</span>)", include, shown)
