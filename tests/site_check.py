"""The site of a small made-up tree: a good chapter has no fault, and each planted fault is named, with its page.

Run with the Python of build/docs-venv, where ./run docs has put what this needs; takes a minute.
"""
import contextlib
import io
import pathlib
import subprocess
import sys
import tempfile
import unittest

TOOLS = pathlib.Path(__file__).resolve().parent.parent / "tools/docs"
sys.path.insert(0, str(TOOLS))
from check import Check  # noqa: E402

GOOD = r"""# Chapter 01: softmax

**Goal.** Weights from scores, $p_i = e^{x_i} / \sum_j e^{x_j}$, shape $(n)$; on the phone, too. 我是一只狗。

**Prerequisites.** [The beginning](../../README.md#what-it-is).

<!-- snippet: nn/thing.h#thing -->
```cpp
Tensor a_function_with_a_long_name(const Tensor& the_first_argument, const Tensor& the_second_argument, double alpha = 1);
```
<!-- /snippet -->

```math
\mathrm{attention}(Q, K, V) = \mathrm{softmax}\left(\frac{QK^\top}{\sqrt{d_k}}\right) V, \qquad Q: (n, d_k),\ K: (m, d_k),\ V: (m, d_v),\ \text{which is wider than any phone}
```

A long one in a line: $\begin{pmatrix} a_{11} & a_{12} & a_{13} & a_{14} & a_{15} & a_{16} & a_{17} & a_{18} & a_{19} & a_{20} & a_{21} \end{pmatrix}$.
On GitHub $`x \lt y`$ is a formula as well, and $$y = x^2$$ too. It costs `$5`.

<!-- table: wide.csv -->
| one | two | three | four | five | six | seven | eight | nine | ten | eleven |
| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |
| `a_word_that_does_not_break` | 2 | 3 | 4 | 5 | 6 | 7 | 8 | 9 | 10 | `another_long_word` |
<!-- /table -->

- a list
  - within a list, `nn/thing.h` and [the file](../../nn/thing.h), [its third line](../../nn/thing.h#L3)
1. numbers

> [!NOTE]
> A note with $d_k$ in it.

![A square](square.svg)

## Where this lives in the library

[`nn/thing.h`](../../nn/thing.h), [all of nn](../../nn), [chapter 02](../ch02_faults/README.md#a-heading-here).

<!-- numbers
5: made up
-->
"""
SQUARE = '<svg xmlns="http://www.w3.org/2000/svg" width="900" height="90"><rect width="90" height="90"/></svg>'
TREE = {
    "README.md": "# Made up\n\nText.\n\n## What it is\n\nA tree. [The tutorials](tutorials/README.md).\n",
    "tutorials/README.md": "# The tutorials\n\n[01](ch01_good/README.md)\n",
    "tutorials/ch01_good/README.md": GOOD,
    "tutorials/ch01_good/square.svg": SQUARE,
    "tutorials/ch02_faults/README.md": "# 02 Faults\n\n## A heading, here\n\nNone yet.\n",
    "gradus/gradus.h": '#include "nn/thing.h"\n',
    "nn/thing.h": """// A thing.
#pragma once

namespace gradus::nn {

// --- functions ---
// Adds, (n) and (n) to (n): a <b> & c.
//! [add]
int add(int a, int b = {});
int more(int a);  // one more
//! [add]

struct Options {
  int size = 1;  // of the thing
};

// Does it.
class Thing : public Base {
 public:
  explicit Thing(int size) : size_(size) {}
  int size() const { return size_; }  // (n)

 private:
  int size_;
};

}  // namespace gradus::nn
""",
}
FAULTS = [  # what stands in the text of chapter 02, and what is said of it
    ("[here](nowhere.md)", "a broken link: nowhere.md"),
    ("[here](../ch01_good/README.md#nowhere)", "a link to a place that is not there: ../ch01_good/index.html#nowhere"),
    ("[here](../../nn/thing.h#L99)", "a link to a place that is not there: ../../nn/thing.h.html#L99"),
    (r"$\frac{1$", "a formula that KaTeX does not understand"),
    (r"$\undefined$", "a formula that KaTeX does not understand"),
    ("Spaces make it none: $ x $.", "a formula that is not rendered: Spaces make it none: $ x $."),
    ("![A figure](gone.svg)", "a missing figure: gone.svg"),
    ("![](../ch01_good/square.svg)", "a figure without a description"),
    ('<p style="width: 500px">This is wide.</p>', "scrolls sideways at 390 px: 516 px wide: <p> This is wide."),
    ("<script>console.error('oh no')</script>", "console: oh no"),
    ("<script>nothing.there()</script>", "a script failed: ReferenceError: nothing is not defined"),
    ('![A figure](https://example.com/a.png)', "asks the network for https://example.com/a.png"),
    ('<p style="color: #222">This is dark.</p>', "text that can hardly be read when dark: "),
    ('<p style="color: #eee">This is pale.</p>', "text that can hardly be read when light: "),
    ("No font has \u2fe0 in it.", "no font for \u2fe0"),
]


def write(root, files):
    for path, text in files.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(text, encoding="utf-8")


def build(root):
    subprocess.run([sys.executable, TOOLS / "build.py", "--root", root], check=True)
    return root / "build/site"


def faults(site):
    with contextlib.redirect_stdout(io.StringIO()):
        check = Check(site)
        check.run()
    return check


class Site(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.TemporaryDirectory()
        cls.root = pathlib.Path(cls.folder.name)
        write(cls.root, TREE)
        cls.site = build(cls.root)

    @classmethod
    def tearDownClass(cls):
        cls.folder.cleanup()

    def article(self, path):
        text = (self.site / path).read_text(encoding="utf-8")
        return text[text.index("<article"):text.index("</article>")]

    def expect(self, text, page, times=None):
        """`text` stands in the page, so many times if that is said."""
        found = page.count(text)
        self.assertTrue(found > 0 if times is None else found == times, f"{text!r} is there {found} times")

    def test_good_pages_have_no_faults(self):
        check = faults(self.site)
        self.assertEqual(check.faults, [])
        names = [check.name(page) for page in check.pages]
        for page in ("index.html", "tutorials/ch01_good/index.html", "api/nn/thing.h.html", "nn/thing.h.html",
                     "nn/source.html"):
            self.assertIn(page, names)

    def test_markdown_is_read_as_by_github(self):
        page = self.article("tutorials/ch01_good/index.html")
        self.expect('<span class="formula">x \\lt y</span>', page)
        self.expect('class="formula display-formula"', page, 2)
        self.expect('<div class="admonition note">', page)
        self.expect("<code>$5</code>", page)
        self.expect("snippet: ", page, 0)
        self.expect("5: made up", page, 0)
        self.expect("<table>", page, 1)
        self.expect("<li>a list\n<ul>", page)
        self.expect('id="where-this-lives-in-the-library"', page)

    def test_links_lead_to_pages(self):
        page = self.article("tutorials/ch01_good/index.html")
        self.expect('href="../../api/nn/thing.h.html"', page, 3)
        self.expect('href="../../nn/thing.h.html#L3"', page)
        self.expect('href="../../nn/source.html"', page)
        whole = (self.site / "tutorials/ch01_good/index.html").read_text(encoding="utf-8")
        self.expect('rel="next" href="../ch02_faults/index.html"', whole)
        self.expect('rel="prev" href="../index.html"', whole)

    def test_the_api_says_what_headers_say(self):
        page = self.article("api/nn/thing.h.html")
        for text in ("<p>A thing.</p>", "<p>Adds, (n) and (n) to (n): a &lt;b&gt; &amp; c.</p>", "<p>Does it.</p>",
                     "// one more", "// of the thing", 'id="Thing.size"', 'id="functions"', 'id="thing"',
                     "read about it in"):
            self.expect(text, page)
        for text in ("size_", "verbatim", "///", "//!"):
            self.expect(text, page, 0)

    def test_each_fault_is_named(self):
        chapters = {f"tutorials/ch{i:02}_fault/README.md": f"# {i:02} A fault\n\n{text}\n"
                    for i, (text, _) in enumerate(FAULTS, 10)}
        with tempfile.TemporaryDirectory() as folder:
            root = pathlib.Path(folder)
            write(root, {**TREE, **chapters})
            site = build(root)
            (site / "search/search_index.js").write_text("var __index = {}", encoding="utf-8")
            (site / "tutorials/ch01_good/square.svg").unlink()
            found = faults(site).faults
        for i, (text, said) in enumerate(FAULTS, 10):
            page = f"tutorials/ch{i:02}_fault/index.html: "
            with self.subTest(text):
                self.assertTrue(any(fault.startswith(page + said) for fault in found),
                                [fault for fault in found if fault.startswith(page)])
        self.assertIn("tutorials/ch01_good/index.html: a missing figure: square.svg", found)
        self.assertTrue(any(fault.startswith("index.html: the search does not find") for fault in found), found)
        unexpected = [fault for fault in found if not fault.startswith(("tutorials/ch", "index.html: "))]
        self.assertEqual(unexpected, [])


if __name__ == "__main__":
    unittest.main()
