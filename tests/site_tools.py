#!/usr/bin/env python3
"""Tests of the list of chapters (tools/chapters.py), of points (tools/points.py), and of how comments become
documentation (tools/docs/comments.py). What the site looks like, tests/site_check.py says."""
import pathlib
import shutil
import subprocess
import sys
import tempfile
import unittest

ROOT = pathlib.Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tools/docs"))
import comments  # noqa: E402

LIST = """# The tutorials

| | goal | what you will have built | prerequisites |
| --- | --- | --- | --- |
| 00 | Begin | a build | – |
| 01 | Shapes; and strides | a tensor | 00 |
| [02](ch02_gone/README.md) | The chain rule | a tape | 00, [01](ch01_gone/README.md) |
"""


def junit(chapter, *tasks):
    """A file as ./run grade writes it: (number, points, of) of each task."""
    cases = "".join(
        f'<testcase classname="{chapter}" name="{number} a &lt; b"><properties><property name="points" '
        f'value="{points}"/><property name="points_possible" value="{of}"/></properties>' +
        ("" if points else '<failure message="not so"/>') + "</testcase>\n" for number, points, of in tasks)
    return f'<?xml version="1.0" encoding="UTF-8"?>\n<testsuite name="{chapter}">\n{cases}</testsuite>\n'


class Folder(unittest.TestCase):
    def setUp(self):
        self.folder = pathlib.Path(tempfile.mkdtemp())
        self.addCleanup(shutil.rmtree, self.folder)

    def write(self, path, text):
        path = self.folder / path
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")

    def run_tool(self, name, *arguments):
        done = subprocess.run([sys.executable, ROOT / "tools" / name, *arguments], cwd=self.folder, capture_output=True,
                              encoding="utf-8")
        return done.returncode, done.stdout, done.stderr


class Points(Folder):
    def points(self, *arguments):
        return self.run_tool("points.py", *arguments)

    def setUp(self):
        super().setUp()
        self.write("grades/mei/ch03.xml", junit("ch03", ("3.1", 1, 1), ("3.2", 0, 2)))
        self.write("grades/mei/ch10.xml", junit("ch10", ("10.1", 3, 3)))
        self.write("grades/anna/ch03.xml", junit("ch03", ("3.1", 1, 1), ("3.2", 2, 2)))

    def test_a_column_for_each_chapter(self):
        self.assertEqual(self.points("grades/mei/ch10.xml", "grades/mei/ch03.xml", "grades/anna/ch03.xml"),
                         (0, "student,ch03,ch10,points,of\nanna,3,,3,3\nmei,1,3,4,6\n", ""))

    def test_a_column_for_each_task(self):
        self.assertEqual(self.points("--tasks", "grades/mei/ch10.xml", "grades/mei/ch03.xml"),
                         (0, "student,3.1,3.2,10.1,points,of\nmei,1,0,3,4,6\n", ""))

    def test_names_of_files_name_students(self):
        self.write("grades/li-wei-ch03.xml", junit("ch03", ("3.1", 1, 1)))
        self.assertEqual(self.points("grades/li-wei-ch03.xml"), (0, "student,ch03,points,of\nli-wei,1,1,1\n", ""))

    def test_what_is_wrong_is_named_and_the_rest_counted(self):
        self.write("grades/ole/ch03.xml", "<testsuite>")
        self.write("grades/eve/ch03.xml", junit("ch03", ("3.1", 9, 1)))
        self.write("grades/kim/ch03.xml", junit("ch03"))
        self.write("copy/mei/ch03.xml", junit("ch03", ("3.1", 1, 1)))
        files = [f"grades/{name}/ch03.xml" for name in ("ole", "eve", "kim", "mei", "nobody")] + ["copy/mei/ch03.xml"]
        status, table, said = self.points(*files)
        self.assertEqual((status, table), (1, "student,ch03,points,of\nmei,1,1,3\n"))
        for words in ("grades/ole/ch03.xml: ", "grades/eve/ch03.xml: task '3.1 a < b' has 9 of 1 points",
                      "grades/kim/ch03.xml: no tasks", "grades/nobody/ch03.xml: ",
                      "copy/mei/ch03.xml: mei's task 3.1 is in grades/mei/ch03.xml, too"):
            self.assertIn(f"error: {words}", said)


class Chapters(Folder):
    def chapters(self, *arguments):
        return self.run_tool("chapters.py", "--root", str(self.folder), *arguments)

    def setUp(self):
        super().setUp()
        self.write("tutorials/README.md", LIST)
        self.write("tutorials/ch00_start/README.md", "# 00 Begin\n\n**Prerequisites.** None.\n")
        self.write("tutorials/ch02_rule/README.md",
                   "# 02\n\n**Before this:** shapes, of\n[01](../ch01_x/README.md)\n\n[00](../ch00_start/README.md)\n")

    def test_links_those_that_exist(self):
        self.assertEqual(self.chapters("--check")[0], 1)
        self.chapters()
        text = (self.folder / "tutorials/README.md").read_text(encoding="utf-8")
        self.assertIn("| [00](ch00_start/README.md) | Begin | a build | – |", text)
        self.assertIn("| 01 | Shapes; and strides | a tensor | [00](ch00_start/README.md) |", text)
        self.assertIn("| [02](ch02_rule/README.md) | The chain rule | a tape | 01 |", text)
        self.assertEqual(self.chapters("--check"), (0, "", ""))
        dot = (self.folder / "tutorials/chapters.dot").read_text(encoding="utf-8")
        self.assertIn("c01 -> c02;", dot)
        self.assertNotIn("c00 -> c02;", dot)

    def test_names_a_chapter_that_is_not_listed(self):
        self.write("tutorials/ch03_new/README.md", "# 03\n")
        status, _, said = self.chapters("--check")
        self.assertEqual((status, said), (1, "error: tutorials/README.md does not list ch03_new\n"))

    def test_our_own_list_is_up_to_date(self):
        self.assertEqual(self.run_tool("chapters.py", "--check"), (0, "", ""))


class Comments(unittest.TestCase):
    def test_comments_become_documentation(self):
        source = """// The file's head.
#pragma once

// --- section ---
// About f:
//   f(1) < 2
//! [f]
int f(int x);
//! [f]
int g();  // behind
          // and below

// Nobody's.

struct S {
};  // namespace"""
        expected = """
#pragma once

// --- section ---
/// \\verbatim About f:
///   f(1) < 2 \\endverbatim

int f(int x);

int g(); ///< \\verbatim <behind
///< and below \\endverbatim



struct S {
}; ///< \\verbatim <namespace \\endverbatim"""
        self.assertEqual(comments.convert(source), expected)

    def test_lines_stay_where_they_are(self):
        for path in ROOT.glob("*/*.h"):
            source = path.read_text(encoding="utf-8")
            self.assertEqual(comments.convert(source).count("\n"), source.count("\n"), path)


if __name__ == "__main__":
    unittest.main()
