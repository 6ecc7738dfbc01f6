#!/usr/bin/env python3
"""Tests of the tools behind the tutorials, on a small made-up tree: what is stale, unexplained or wrong is named."""
import pathlib
import re
import subprocess
import sys
import tempfile
import unittest

TOOLS = pathlib.Path(__file__).resolve().parent.parent / "tools"
LIBRARY = """#include <cmath>
//! [twice]
double twice(double x) {
  return 2 * x;
}
//! [twice]
"""
PROGRAM = """#!/bin/sh
echo "begin"
echo "step 1  loss ${LOSS:-0.5004}"
echo "end, args: $*"
"""
EXERCISES = """#include "exercises.h"

// 90.1 twice x
double twice(double x) {
  // BEGIN SOLUTION 90.1
  const double two = 2;
  return two * x;
  // END SOLUTION
  // MISTAKE it is three
  // - const double two = 2;
  // + const double two = 3;
  // MISTAKE "x" is forgotten
  // - const double two = 2;
  // - return two * x;
  // + return 2;
}

EXERCISES(ch90::Exercises, twice);
"""
TEXT = """# Chapter 90: twice

<!-- snippet: library/twice.cpp#twice -->
<!-- /snippet -->

The loss is 0.5 after one step.

<!-- output: ch90/train --steps 3 | from step | to end -->
<!-- /output -->

<!-- table: timings.csv | where chapter=ch90 -->
<!-- /table -->
"""


class Tree(unittest.TestCase):
    """A tree with one chapter, woven."""

    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.root = pathlib.Path(folder.name)
        self.write("library/twice.cpp", LIBRARY)
        self.write("tutorials/timings.csv", "chapter,program,seconds,machine\nch90,train,3.5,a|b\nch91,x,9,c\n")
        self.write("tutorials/ch90_twice/exercises.cpp", EXERCISES)
        self.write("tutorials/ch90_twice/exercises.h", "#pragma once\n")
        self.write("build/release/tutorials/ch90/train", PROGRAM)
        (self.root / "build/release/tutorials/ch90/train").chmod(0o755)
        self.text(TEXT)

    def write(self, path, text):
        path = self.root / path
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")

    def text(self, text):
        self.write("tutorials/ch90_twice/README.md", text)

    def read(self):
        return (self.root / "tutorials/ch90_twice/README.md").read_text(encoding="utf-8")

    def weave(self, *arguments, loss=None):
        done = subprocess.run([sys.executable, TOOLS / "weave.py", "--root", self.root, *arguments], encoding="utf-8",
                              capture_output=True, env={"LOSS": loss, "PYTHONDONTWRITEBYTECODE": "1"} if loss else None)
        return done.returncode, done.stdout + done.stderr

    def woven(self):
        self.assertEqual(self.weave()[0], 0)
        return self.read()

    def expect(self, words, *arguments, loss=None):
        """The check fails and says so."""
        status, said = self.weave("--check", *arguments, loss=loss)
        self.assertEqual(status, 1, said)
        self.assertIn(words, said)


class Weave(Tree):
    def test_fills_in_and_is_content_with_that(self):
        text = self.woven()
        self.assertIn("-->\n```cpp\ndouble twice(double x) {\n  return 2 * x;\n}\n```\n<!--", text)
        self.assertIn("-->\n```text\nstep 1  loss 0.5004\nend, args: --steps 3\n```\n<!--", text)
        self.assertIn("\n\n| program | seconds | machine |\n| --- | ---: | --- |\n| train | 3.5 | a\\|b |\n\n", text)
        status, said = self.weave("--check")
        self.assertEqual(status, 0, said)
        self.assertIn("warning: ch90: 8 words", said)
        self.assertEqual(self.woven(), text)
        self.assertEqual(self.weave("--targets", "release")[1], "ch90_train\n")

    def test_a_chapter_about_kernels_runs_on_the_emulator(self):
        self.write("tutorials/ch90_twice/CMakeLists.txt", "chapter(ch90 CUDA PROGRAMS train.cu)\n")
        self.assertEqual(self.weave("--targets", "release")[1], "\n")
        self.assertEqual(self.weave("--targets", "simt")[1], "ch90_train\n")
        self.assertIn("build/simt; ./run weave builds it", self.weave()[1])
        (self.root / "build/release").rename(self.root / "build/simt")
        self.woven()

    def test_a_changed_line_of_a_quoted_function_names_the_chapter(self):
        self.woven()
        self.write("library/twice.cpp", LIBRARY.replace("2 * x", "x + x"))
        self.expect('ch90: stale snippet: library/twice.cpp#twice: the text has "return 2 * x;" where "return x + x;" '
                    "belongs; ./run weave ch90 (ch90_twice/README.md:3)")
        self.expect("stale snippet", "--no-programs", "ch90")

    def test_what_was_never_woven_is_stale(self):
        self.expect("stale snippet: library/twice.cpp#twice: it is empty")

    def test_a_missing_region_file_or_program(self):
        self.text(TEXT.replace("#twice", "#thrice"))
        self.expect("library/twice.cpp has 0 lines with [thrice], not one before and one after")
        self.text(TEXT.replace("library/twice", "library/thrice"))
        self.expect("there is no file library/thrice.cpp")
        self.text(TEXT.replace("ch90/train", "ch90/test"))
        self.expect("there is no program ch90/test")
        self.text(TEXT.replace("timings.csv", "times.csv"))
        self.expect("there is no file times.csv")
        self.text(TEXT.replace("| to end", "| to nowhere"))
        self.expect('no line has "nowhere" in it')
        self.write("library/twice.cpp", LIBRARY.replace("double twice", "//\n" * 30 + "double twice"))
        self.text(TEXT)
        self.expect("it has 33 lines, more than 30")
        self.assertEqual(self.weave("--check", "ch91")[1].splitlines()[0],
                         f"error: there is no chapter ch91 in {self.root}/tutorials")

    def test_output_is_compared_by_numbers_and_words(self):
        self.woven()
        self.assertEqual(self.weave("--check", loss="0.5007")[0], 0)
        self.expect('stale output: ch90/train --steps 3 | from step | to end: the text has "step 1  loss 0.5004" where '
                    '"step 1  loss 0.51" belongs', loss="0.51")
        self.expect("stale output", loss="nan")
        self.assertEqual(self.weave("--check", "--no-programs", loss="nan")[0], 0)
        self.text(TEXT.replace("| to end", "| to end | tolerance 0.05"))
        self.woven()
        self.assertEqual(self.weave("--check", loss="0.51")[0], 0)
        self.expect("stale output", loss="0.53")

    def test_a_program_that_fails(self):
        self.write("build/release/tutorials/ch90/train", "#!/bin/sh\necho sorry >&2\nexit 3\n")
        self.expect("the program ended with 3: sorry")

    def test_what_was_printed_lately_is_not_printed_again(self):
        self.text("<!-- output: ch90/train -->\n<!-- /output -->\n")
        self.write("kept/ch90.train.txt", "from before\n")
        self.assertEqual(self.weave("--outputs", self.root / "kept")[0], 0)
        self.assertIn("from before", self.read())

    def test_a_table_with_nothing_measured(self):
        self.text("<!-- table: timings.csv | where chapter=ch92 -->\n<!-- /table -->\n")
        self.assertIn("not measured yet", self.woven())
        self.text("<!-- table: timings.csv | where month=May -->\n<!-- /table -->\n")
        self.expect("timings.csv has no column month, only chapter, program, seconds, machine")

    def test_wrong_markers(self):
        for wrong, words in (("<!-- snippet library/twice.cpp#twice -->", "not quite a marker: <!-- snippet library"),
                             ("<!-- /output -->", "<!-- /output --> ends nothing"),
                             ("<!-- output: ch90/train -->", "no <!-- /output --> ends output: ch90/train")):
            self.text(wrong + "\n")
            self.expect(words)
        self.text("```\n<!-- output: shown, not meant -->\n```\n")
        self.assertEqual(self.weave("--check")[0], 0)


class Numerals(Tree):
    def numerals(self, text, woven="loss 0.7311 of 64"):
        """What the check finds in such a chapter."""
        self.write("build/release/tutorials/ch90/train", f"#!/bin/sh\necho '{woven}'\n")
        self.text(text + "\n<!-- output: ch90/train -->\n<!-- /output -->\n")
        self.assertEqual(self.weave()[0], 0)
        return re.findall(r"ch90: (\S+) is neither", self.weave("--check")[1])

    def test_what_is_woven_may_be_named_and_rounded(self):
        self.assertEqual(self.numerals("0.7311, 0.73, 73%, 73.1 % and 64. Not 0.74, 74%, 63 or 0.7312."),
                         ["0.74", "74%", "63", "0.7312"])

    def test_what_is_free(self):
        self.assertEqual(self.numerals(
            "## Step 77\n\n1. `512` [chapter 512](#step-77) ![512](README.md) float32, AVX-512, 2D, chapters 3, 4 and 15\n"
            "\nVaswani et al. 2017, section 3.2.1, tables 2 and 33; exercise 2.22, and 90.1\n"
            "and https://arxiv.org/abs/1706.03762\n\n"
            "```\n99\n```\nthree $x_{12}^{34} + \\frac12 y_0 + f(1,2) > 0.$ <!-- 88 -->"), [])

    def test_what_is_not_free(self):
        self.assertEqual(self.numerals("90.7 and 10,000 and 1e-5, 5x; $0.25 + \\frac{1}{17}$\n\n"
                                       "```math\ny = 3.5 \\tag{9}\n```\n\nafter 12\n"),
                         ["90.7", "10,000", "1e-5", "5", "0.25", "17", "3.5", "12"])
        self.assertEqual(self.numerals("$5 \\cdot 10^{-3}$ and $10^{4}$", "5e-3"), ["10000"])

    def test_explanations(self):
        comment = "<!-- numbers\n512: the width, in the paper\n2,048: the other\n-->"
        self.assertEqual(self.numerals("512 and 2,048.\n\n" + comment), [])
        self.text("512\n\n<!-- numbers\n512: the width\n7: nowhere\n8\n-->\n")
        self.expect("ch90: 7 is explained but does not occur (ch90_twice/README.md:5)")
        self.expect('not of the form "512: where it comes from": 8')

    def test_links(self):
        self.text("# A `b`, c\n\n[here](#a-b-c) [there](../timings.csv) [gone](gone.md) [no heading](#a-b)\n")
        status, said = self.weave("--check")
        self.assertEqual(re.findall("broken link: (.*) [(]", said), ["gone.md", "#a-b: there is no such heading"])


class Exercises(Tree):
    def run_tool(self, what, folder):
        done = subprocess.run([sys.executable, TOOLS / "exercises.py", what, "tutorials/ch90_twice", folder],
                              cwd=self.root, encoding="utf-8", capture_output=True)
        return done.returncode, done.stdout + done.stderr

    def test_the_student_gets_stubs_and_keeps_what_is_there(self):
        status, said = self.run_tool("student", "exercises/ch90")
        self.assertEqual(status, 0, said)
        self.assertIn("wrote exercises/ch90/exercises.cpp", said)
        self.assertIn("./run grade ch90", said)
        path = self.root / "exercises/ch90/exercises.cpp"
        self.assertEqual(path.read_text(), '#include "exercises.h"\n\n// 90.1 twice x\ndouble twice(double x) {\n'
                         '  throw grading::NotImplemented("90.1");\n}\n\nEXERCISES(ch90::Exercises, twice);\n')
        path.write_text("mine")
        status, said = self.run_tool("student", "exercises/ch90")
        self.assertEqual(status, 0)
        self.assertIn("is there already and stays as it is", said)
        self.assertEqual(path.read_text(), "mine")

    def test_variants(self):
        status, said = self.run_tool("variants", "variants")
        self.assertEqual(status, 0, said)
        text = {path.stem: path.read_text() for path in (self.root / "variants").glob("*.cpp")}
        self.assertEqual(set(text), {"solution", "stub", "mistake_1", "mistake_2", "causes"})
        self.assertIn("  const double two = 2;\n  return two * x;\n#line 16\n}", text["solution"])
        self.assertIn('if (grading::mistaken("90.1")) {\n#line 6\n  const double two = 3;\n  return two * x;\n} else '
                      "{\n#line 6\n  const double two = 2;\n  return two * x;\n}\n#line 16\n}", text["mistake_1"])
        self.assertIn("{\n#line 6\n  return 2;\n} else {", text["mistake_2"])
        self.assertIn('throw grading::NotImplemented("90.1");', text["stub"])
        self.assertNotIn("MISTAKE", text["stub"])
        self.assertIn('{"90.1", {"it is three", "\\"x\\" is forgotten"}}', text["causes"])

    def test_wrong_markers_are_told_with_their_line(self):
        for old, new, words in (
                ("  // END SOLUTION\n", "", ":8: within the solution of 90.1, which no // END SOLUTION has ended"),
                ("// END SOLUTION", "// end solution", ":8: not quite a marker"),
                ("BEGIN SOLUTION 90.1", "BEGIN SOLUTION", ":5: not quite a marker"),
                ("  // BEGIN SOLUTION 90.1\n", "", ":7: // END SOLUTION without // BEGIN SOLUTION before it"),
                ("  // MISTAKE it is three\n", "", ": 90.1 has 1 of the two // MISTAKE it needs"),
                ("  // - const double two = 2;\n  // + ", "  // + ", ":10: // + without a // - before it"),
                ("// - return two", "// - return 2", ":12: found 0 times in the solution of 90.1, not once"),
                ("const double two = 2;\n  return", "return 3;\n  return 3;\n  return",
                 ":10: found 0 times")):
            self.assertIn(old, EXERCISES)
            self.write("tutorials/ch90_twice/exercises.cpp", EXERCISES.replace(old, new, 1))
            status, said = self.run_tool("variants", "variants")
            self.assertEqual(status, 1)
            self.assertIn("error: tutorials/ch90_twice/exercises.cpp" + words, said)
        twice = EXERCISES.replace("  return two", "  return 3;\n  return 3;\n  return two")
        twice = twice.replace("// - const double two = 2;\n  // + const", "// - return 3;\n  // + const")
        self.write("tutorials/ch90_twice/exercises.cpp", twice)
        self.assertIn("found 2 times", self.run_tool("variants", "variants")[1])


if __name__ == "__main__":
    unittest.main()
