// Graders: what they accept, how they say what is wrong, and that a proof finds a grader that proves nothing.
#include "tutorials/grading/grading.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <cmath>
#include <csignal>
#include <fstream>
#include <sstream>

#include "autograd/ops.h"
#include "tests/paths.h"
#include "tests/sanitized.h"

namespace {

using namespace gradus;
using grading::Grade;
using gradus::testing::TempDir;

// What a demand says; nothing if it is met.
template <class F>
std::string message(const F& demand) {
  try {
    demand();
  } catch (const std::exception& failure) {
    return failure.what();
  }
  return "";
}

const TensorOptions f64 = {.dtype = float64};

TEST(Grade, EqualSaysWhereAndWhy) {
  const Grade grade(1);
  const Tensor expected = tensor({{1, 2}, {3, 4}}, f64), got = tensor({{1, 2}, {7, 8}}, f64);
  EXPECT_EQ(message([&] { grade.equal("y", expected.t().contiguous().t(), expected); }), "");
  EXPECT_EQ(message([&] { grade.equal("y", got, expected); }),
            "y: 2 of 4 elements differ, first at [1, 0]: expected 3, got 7");
  EXPECT_EQ(message([&] {
              grade.equal("y", got, expected, {{expected * 2.0, "twice"}, {got, "added"}});
            }),
            "y: 2 of 4 elements differ, first at [1, 0]: expected 3, got 7\nwhy: added");
  EXPECT_EQ(message([&] { grade.equal("y", got[0], expected); }), "y: wrong shape: expected [2, 2], got [2]");
  EXPECT_EQ(message([&] {
              grade.equal("y", got[0], expected, {{got[0], "a row"}});
            }),
            "y: wrong shape: expected [2, 2], got [2]\nwhy: a row");
  EXPECT_EQ(message([&] { grade.equal("y", expected.to(float32), expected); }),
            "y: wrong dtype: expected float64, got float32");
  EXPECT_EQ(message([&] {
              grade.equal("y", Tensor(), expected, {{got, "other"}});
            }),
            "y: expected a tensor, got an undefined tensor");
  EXPECT_EQ(message([&] { grade.equal("y", expected + 1e-9, expected); }), "");
  EXPECT_EQ(message([&] { grade.equal("y", expected + 1e-6, expected, {}, 1e-5); }), "");
  EXPECT_EQ(message([&] { grade.equal("y", tensor(0.1 + 1e-8, f64), tensor(0.1, f64)); }),
            "y: expected 0.10000000000000001, got 0.10000001");
}

TEST(Grade, EqualWithNanInfinityAndIntegers) {
  const Grade grade(1);
  const Tensor nan = tensor({0, NAN}, f64), infinite = tensor({0, -INFINITY}, f64), zero = zeros({2}, f64);
  EXPECT_NE(message([&] { grade.equal("y", nan, nan); }), "");
  EXPECT_EQ(message([&] { grade.equal("y", infinite, infinite); }), "");
  EXPECT_NE(message([&] { grade.equal("y", zero, infinite); }), "");
  EXPECT_NE(message([&] { grade.equal("y", infinite, zero); }), "");
  EXPECT_NE(message([&] {
              grade.equal("y", nan, zero, {{nan, "log of 0"}});
            }).find("why: log of 0"),
            std::string::npos);
  const Tensor large = full({2}, 9007199254740992.0, {.dtype = int64});
  EXPECT_EQ(message([&] { grade.equal("y", large, large); }), "");
  EXPECT_NE(message([&] { grade.equal("y", large + ones({2}, {.dtype = int64}), large, {}, 1); }), "");
}

TEST(Grade, EqualOfNumbersThatAndThrows) {
  const Grade grade(1);
  EXPECT_EQ(message([&] { grade.equal("n", 3, 3); }), "");
  EXPECT_EQ(message([&] {
              grade.equal("n", 6.0, 3.0, {{6.0, "doubled"}, {9.0, "squared"}});
            }),
            "n: expected 3, got 6\nwhy: doubled");
  EXPECT_EQ(message([&] { grade.equal("n", NAN, 3.0, {{NAN, "0 / 0"}}); }), "n: expected 3, got nan\nwhy: 0 / 0");
  EXPECT_EQ(message([&] { grade.that(true, "wrong"); }), "");
  EXPECT_EQ(message([&] { grade.that(false, "wrong"); }), "wrong");
  EXPECT_EQ(message([&] { grade.throws("a negative size", [] { zeros({-1}); }); }), "");
  EXPECT_EQ(message([&] { grade.throws("a size", [] { zeros({1}); }); }),
            "a size: a gradus::Error should be thrown, but none was");
}

// --- whole graders -------------------------------------------------------------------------------------------------

struct Exercises {
  double (*twice)(double);
};
double right(double x) { return 2 * x; }
double squared(double x) { return x * x; }
double forgotten(double) { return 2; }
double stub(double) { throw grading::NotImplemented("1.1"); }
double crashes(double x) {
  raise(SIGSEGV);
  return x;
}
double never_ends(double x) {
  while (true) pause();
  return x;
}
double leaves(double) { _exit(0); }
double throws_error(double x) { return x + ones({2}).view({7}).item(); }
double throws_number(double) { throw 7; }

const Exercises solution{right}, mistake_1{squared}, mistake_2{forgotten}, not_written{stub};
const grading::Registration registrations[] = {
    {"solution", &solution}, {"mistake_1", &mistake_1}, {"mistake_2", &mistake_2}, {"stub", &not_written}};
const grading::Mistakes causes({{"1.1", {"x is squared", "x is forgotten"}}});

using Task = grading::Task<Exercises>;
const std::vector<std::string> hints = {"a nudge", "the idea", "the code"};
const auto good_grader = [](const Exercises& student, Grade& grade) {
  const double x = 3 + grade.random().uniform();
  grade.equal("twice x", student.twice(x), 2 * x, {{x * x, "x is squared"}, {2.0, "x is forgotten"}});
};
const auto blind_grader = [](const Exercises& student, Grade& grade) {
  grade.equal("twice 2", student.twice(2), 4, {{2.0, "x is forgotten"}});  // squared, it is 4 too
};
Task task(decltype(Task::grade) grade) {
  return {.number = "1.1", .title = "twice", .stars = 2, .grade = std::move(grade), .hints = hints, .seconds = 1};
}

struct Outcome {
  int status;
  std::string output;
};
Outcome run(const std::vector<Task>& tasks, std::vector<std::string> arguments) {
  arguments.insert(arguments.begin(), "grader");
  std::vector<char*> argv;
  for (std::string& argument : arguments) argv.push_back(argument.data());
  ::testing::internal::CaptureStdout();
  const int status = grading::run("ch01", tasks, argv.size(), argv.data());
  std::fflush(stdout);
  return {status, ::testing::internal::GetCapturedStdout()};
}

TEST(Grader, ReportsPointsAndTheWayToAHint) {
  const std::vector<Task> tasks = {task(good_grader)};
  Outcome r = run(tasks, {"--variant", "solution"});
  EXPECT_EQ(r.status, 0);
  EXPECT_EQ(r.output, "1.1 ★★ twice: passed\n2 of 2 points\n");
  r = run(tasks, {"--variant", "stub"});
  EXPECT_EQ(r.status, 1);
  EXPECT_EQ(r.output,
            "1.1 ★★ twice: not implemented\n    for a hint: ./run grade ch01 --task 1.1 --hint 1\n0 of 2 points\n");
  r = run(tasks, {"--variant", "mistake_2", "--hint", "2"});
  EXPECT_NE(r.output.find("got 2\n    why: x is forgotten\n    hint 2: the idea\n    for the next hint: ./run grade "
                          "ch01 --task 1.1 --hint 3\n0 of 2 points\n"),
            std::string::npos)
      << r.output;
  EXPECT_EQ(run(tasks, {"--variant", "solution", "--task", "1.1", "--hint", "3"}).output,
            "1.1 ★★ twice: passed\n    hint 3: the code\n2 of 2 points\n");
}

TEST(Grader, SurvivesWhatItGrades) {
  const auto outcome = [](double (*twice)(double)) {
    const auto grade = [twice](const Exercises&, Grade& judge) {
      judge.known_error("view", "no such view");
      twice(1);
    };
    return run({task(grade)}, {"--variant", "solution"}).output;
  };
  EXPECT_NE(outcome(never_ends).find("failed\n    it did not end within 1 s\n"), std::string::npos);
  EXPECT_NE(outcome(leaves).find("failed\n    it ended the program, with exit code 0\n"), std::string::npos);
  EXPECT_NE(outcome(throws_number).find("something was thrown that is no std::exception"), std::string::npos);
  const std::string error = outcome(throws_error);
  EXPECT_NE(error.find("an error was thrown: view"), std::string::npos) << error;
  EXPECT_NE(error.find("\n    why: no such view\n"), std::string::npos) << error;
  const std::string crash = outcome(crashes);  // sanitizers make exits of it, each with a code of its own
  EXPECT_NE(crash.find(gradus::testing::sanitized ? "it ended the program, with exit code "
                                                  : "it crashed (Segmentation fault)"),
            std::string::npos)
      << crash;
}

TEST(Grader, ProvesAGraderOrSaysWhatIsMissing) {
  Outcome r = run({task(good_grader)}, {"--prove"});
  EXPECT_EQ(r.status, 0);
  EXPECT_EQ(r.output,
            "1.1 solution: proven\n1.1 stub: proven\n1.1 mistake_1: proven\n1.1 mistake_2: proven\n4 of 4 proven\n");
  r = run({task(blind_grader)}, {"--prove"});
  EXPECT_EQ(r.status, 1);
  EXPECT_NE(r.output.find("1.1 mistake_1: NOT PROVEN, passes\n"), std::string::npos) << r.output;
  r = run({task([](const Exercises& student, Grade& grade) { grade.equal("y", student.twice(3), 6); })}, {"--prove"});
  EXPECT_NE(r.output.find("1.1 mistake_1: NOT PROVEN, fails, but without the cause \"x is squared\": y: "),
            std::string::npos)
      << r.output;
  r = run({task([](const Exercises&, Grade& grade) { grade.that(false, "x is squared x is forgotten"); })},
          {"--prove"});
  EXPECT_NE(r.output.find("1.1 solution: NOT PROVEN, does not pass"), std::string::npos) << r.output;
  EXPECT_NE(r.output.find("1.1 stub: NOT PROVEN, does not fail as not implemented"), std::string::npos) << r.output;
  EXPECT_NE(r.output.find("2 of 4 proven"), std::string::npos) << r.output;
  Task other = task(good_grader);
  other.number = "1.2";
  other.hints.pop_back();
  r = run({task(good_grader), other}, {"--prove"});
  EXPECT_EQ(r.status, 1);
  EXPECT_NE(r.output.find("1.2: NOT PROVEN, it has no two mistakes in exercises.cpp"), std::string::npos) << r.output;
  EXPECT_NE(r.output.find("1.2: NOT PROVEN, it has no three hints"), std::string::npos) << r.output;
  other.hints = hints;
  EXPECT_NE(run({other}, {"--prove"}).output.find("1.1: NOT PROVEN, the grader has no such task"), std::string::npos);
}

TEST(Grader, WritesPointsAsJUnit) {
  const TempDir folder;
  Task other = task(good_grader);
  other.title = "twice & <again>";
  const auto half = [](const Exercises&, Grade& grade) { grade.that(false, "a \"b\"\n<c>"); };
  other.grade = half;
  run({task(good_grader), other}, {"--variant", "solution", "--junit", folder / "points.xml"});
  std::ifstream in(folder / "points.xml");
  std::ostringstream text;
  text << in.rdbuf();
  EXPECT_EQ(
      text.str(),
      "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuite name=\"ch01\" tests=\"2\" failures=\"1\">\n"
      "  <properties><property name=\"points\" value=\"2\"/><property name=\"points_possible\" value=\"4\"/>"
      "</properties>\n"
      "  <testcase classname=\"ch01\" name=\"1.1 twice\"><properties><property name=\"points\" value=\"2\"/>"
      "<property name=\"points_possible\" value=\"2\"/></properties></testcase>\n"
      "  <testcase classname=\"ch01\" name=\"1.1 twice &amp; &lt;again&gt;\"><properties><property name=\"points\" "
      "value=\"0\"/><property name=\"points_possible\" value=\"2\"/></properties>"
      "<failure message=\"a &quot;b&quot;&#10;&lt;c&gt;\"/></testcase>\n</testsuite>\n");
}

TEST(Grader, RefusesWhatItDoesNotKnow) {
  const std::vector<Task> tasks = {task(good_grader)};
  for (const std::vector<std::string>& wrong : std::vector<std::vector<std::string>>{
           {"--task", "9.9"}, {"--hint", "4"}, {"--variant", "other"}, {}, {"--prove", "--task", "1.1"}}) {
    ::testing::internal::CaptureStderr();
    EXPECT_EQ(run(tasks, wrong).status, 2);
    EXPECT_EQ(::testing::internal::GetCapturedStderr().substr(0, 7), "error: ");
  }
  setenv("GRADUS_SEED", "first", 1);
  EXPECT_EQ(run(tasks, {"--variant", "solution"}).status, 2);
  setenv("GRADUS_SEED", "12", 1);
  EXPECT_EQ(run(tasks, {"--variant", "solution"}).status, 0);
  unsetenv("GRADUS_SEED");
}

}  // namespace
