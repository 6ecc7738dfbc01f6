// The program of a grader: runs tasks, reports, gives hints, writes JUnit files, and proves graders.
#include "tutorials/grading/grading.h"

#include <poll.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <map>

namespace grading {

using gradus::Tensor;

namespace {

struct Failed : std::runtime_error {
  using std::runtime_error::runtime_error;
};

// Filled before main() begins.
std::map<std::string, const void*>& variants() {
  static std::map<std::string, const void*> all;
  return all;
}
std::map<std::string, std::vector<std::string>>& mistakes() {
  static std::map<std::string, std::vector<std::string>> all;
  return all;
}
std::string current_task;

// --- comparing -----------------------------------------------------------------------------------------------------

double largest_finite(const std::vector<double>& values) {
  double largest = 0;
  for (const double value : values)
    if (std::isfinite(value)) largest = std::max(largest, std::abs(value));
  return largest;
}

bool near(double got, double expected, double margin) {
  return got == expected || std::abs(got - expected) <= margin;  // false where one is NaN
}

// Wrong answers may be NaN, and then are known by that.
bool near_or_both_nan(double got, double expected, double margin) {
  return near(got, expected, margin) || (std::isnan(got) && std::isnan(expected));
}

bool is_wrong_answer(const Tensor& got, const Tensor& wrong, double tolerance) {
  if (got.shape() != wrong.shape() || got.dtype() != wrong.dtype()) return false;
  const std::vector<double> a = got.to_vector(), b = wrong.to_vector();
  const double margin = tolerance * (1 + largest_finite(b));
  return std::equal(a.begin(), a.end(), b.begin(),
                    [&](double x, double y) { return near_or_both_nan(x, y, margin); });
}

std::string number(double value, const char* format = "%.6g") {
  char text[40];
  std::snprintf(text, sizeof(text), format, value);
  return text;
}

// With as many digits as it takes to tell them apart.
std::string expected_and_got(double expected, double got) {
  const char* format = number(expected) == number(got) ? "%.17g" : "%.6g";
  return "expected " + number(expected, format) + ", got " + number(got, format);
}

std::string expected_and_got(const std::string& expected, const std::string& got) {
  return "expected " + expected + ", got " + got;
}

// The index of element i in row-major order: [1, 0, 2].
std::string place(int64_t i, const gradus::Shape& shape) {
  std::string text;
  for (int d = shape.size() - 1; d >= 0; i /= shape[d], --d)
    text = std::to_string(i % shape[d]) + (text.empty() ? "" : ", ") + text;
  return "[" + text + "]";
}

// What is wrong with `got`; nothing if it is right.
std::string difference(const Tensor& got, const Tensor& expected, double tolerance) {
  if (!got.defined() || !expected.defined())
    return got.defined() == expected.defined()
               ? ""
               : expected_and_got(expected.defined() ? "a tensor" : "an undefined tensor",
                                  got.defined() ? "a tensor" : "an undefined tensor");
  if (got.shape() != expected.shape())
    return "wrong shape: " + expected_and_got(to_string(expected.shape()), to_string(got.shape()));
  if (got.dtype() != expected.dtype())
    return "wrong dtype: " + expected_and_got(to_string(expected.dtype()), to_string(got.dtype()));
  const std::vector<double> a = got.to_vector(), b = expected.to_vector();
  const bool exact = !is_floating(got.dtype());
  const double margin = tolerance * (1 + largest_finite(b));
  std::vector<int64_t> whole_a, whole_b;  // a double has too few digits for the largest
  if (exact) whole_a = got.to_vector<int64_t>(), whole_b = expected.to_vector<int64_t>();
  int64_t first = -1, count = 0;
  for (int64_t i = 0; i < a.size(); ++i)
    if (exact ? whole_a[i] != whole_b[i] : !near(a[i], b[i], margin)) {
      if (first < 0) first = i;
      ++count;
    }
  if (first < 0) return "";
  if (a.size() == 1) return expected_and_got(b[0], a[0]);
  return std::to_string(count) + " of " + std::to_string(a.size()) + " elements differ, first at " +
         place(first, expected.shape()) + ": " + expected_and_got(b[first], a[first]);
}

}  // namespace

NotImplemented::NotImplemented(const std::string& task) : std::runtime_error(task + " is not implemented yet") {}

void Grade::fail(const std::string& message) const { throw Failed(message); }

void Grade::equal(const std::string& what, const Tensor& got, const Tensor& expected, const std::vector<Known>& known,
                  double tolerance) const {
  std::string message = difference(got, expected, tolerance);
  if (message.empty()) return;
  message = what + ": " + message;
  if (got.defined())
    for (const Known& wrong : known)
      if (is_wrong_answer(got, wrong.value, tolerance)) fail(message + "\nwhy: " + wrong.cause);
  fail(message);
}

void Grade::equal(const std::string& what, double got, double expected,
                  const std::vector<std::pair<double, std::string>>& known, double tolerance) const {
  if (near(got, expected, tolerance * (1 + largest_finite({expected})))) return;
  const std::string message = what + ": " + expected_and_got(expected, got);
  for (const auto& [value, cause] : known)
    if (near_or_both_nan(got, value, tolerance * (1 + largest_finite({value})))) fail(message + "\nwhy: " + cause);
  fail(message);
}

Registration::Registration(const std::string& variant, const void* exercises) { variants()[variant] = exercises; }

Mistakes::Mistakes(std::vector<std::pair<std::string, std::vector<std::string>>> causes_by_task) {
  for (auto& [task, causes] : causes_by_task) mistakes()[task] = std::move(causes);
}

bool mistaken(const std::string& task) { return task == current_task; }

namespace {

// --- one task ------------------------------------------------------------------------------------------------------

enum class Result : char { passed = 'p', failed = 'f', not_implemented = 'n' };
struct Outcome {
  Result result;
  std::string message;
};

uint64_t seed() {
  const char* text = std::getenv("GRADUS_SEED");
  if (!text) return 1;
  char* end = nullptr;
  const uint64_t value = std::strtoull(text, &end, 10);
  gradus::check(*text >= '0' && *text <= '9' && *end == 0, "GRADUS_SEED is ", text, ", which is no whole number");
  return value;
}

Outcome grade_here(const AnyTask& task, const void* exercises) {
  current_task = task.number;
  gradus::manual_seed(seed());
  Grade grade(seed());
  std::string thrown;
  try {
    task.grade(exercises, grade);
    return {Result::passed, ""};
  } catch (const Failed& failure) {
    return {Result::failed, failure.what()};
  } catch (const NotImplemented& missing) {
    return {Result::not_implemented, missing.what()};
  } catch (const gradus::Error& error) {
    thrown = std::string("an error was thrown: ") + error.what();
  } catch (const std::exception& error) {
    thrown = std::string("an exception was thrown: ") + error.what();
  } catch (...) {
    thrown = "something was thrown that is no std::exception";
  }
  for (const auto& [words, cause] : grade.known_errors())
    if (thrown.find(words) != std::string::npos) return {Result::failed, thrown + "\nwhy: " + cause};
  return {Result::failed, thrown};
}

std::string death(int status) {
  if (WIFEXITED(status)) return "it ended the program, with exit code " + std::to_string(WEXITSTATUS(status));
  const int signal = WTERMSIG(status);
  const char* hint = signal == SIGSEGV || signal == SIGBUS ? ": memory was touched that is not there"
                     : signal == SIGFPE                    ? ": most likely an integer was divided by zero"
                     : signal == SIGABRT                   ? ": an assert failed, or an exception left a destructor"
                     : signal == SIGKILL                   ? ": most likely it took all the memory there is"
                                                           : "";
  return "it crashed (" + std::string(strsignal(signal)) + ")" + hint;
}

// In a process of its own, which sends a letter and the message through a pipe.
Outcome grade(const AnyTask& task, const void* exercises) {
  int ends[2];
  gradus::check(pipe(ends) == 0, "cannot make a pipe");
  std::fflush(nullptr);  // or the child would print it again
  const pid_t child = fork();
  gradus::check(child >= 0, "cannot start a process");
  if (child == 0) {
    close(ends[0]);
    const Outcome outcome = grade_here(task, exercises);
    std::fflush(nullptr);
    const std::string text = char(outcome.result) + outcome.message;
    for (size_t sent = 0; sent < text.size();) {
      const ssize_t n = write(ends[1], text.data() + sent, text.size() - sent);
      if (n <= 0) break;
      sent += n;
    }
    _exit(0);
  }
  close(ends[1]);
  using Clock = std::chrono::steady_clock;
  const auto deadline = Clock::now() + std::chrono::seconds(task.seconds);
  std::string text;
  bool in_time = true;
  for (char buffer[4096];;) {
    const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(deadline - Clock::now()).count();
    pollfd wait{ends[0], POLLIN, 0};
    in_time = left > 0 && poll(&wait, 1, int(left)) != 0;
    if (!in_time) break;
    const ssize_t n = read(ends[0], buffer, sizeof(buffer));
    if (n <= 0) break;
    text.append(buffer, n);
  }
  close(ends[0]);
  if (!in_time) kill(child, SIGKILL);
  int status = 0;
  waitpid(child, &status, 0);
  if (!in_time) return {Result::failed, "it did not end within " + std::to_string(task.seconds) + " s"};
  if (text.empty()) return {Result::failed, death(status)};
  return {Result(text[0]), text.substr(1)};
}

// --- reports -------------------------------------------------------------------------------------------------------

struct Options {
  std::string variant, task, junit;
  int hint = 0;
  bool prove = false, here = false;
};

std::string repeated(const char* text, int times) {
  std::string all;
  for (int i = 0; i < times; ++i) all += text;
  return all;
}

std::string indented(std::string text) {
  for (size_t i = 0; (i = text.find('\n', i)) != std::string::npos; ++i) text.replace(i, 1, "\n    ");
  return "    " + text;
}

std::string heading(const AnyTask& task) { return task.number + " " + repeated("★", task.stars) + " " + task.title; }

void print_hints(const std::string& chapter, const AnyTask& task, int level) {
  if (level > 0 && level <= int(task.hints.size()))
    std::printf("    hint %d: %s\n", level, task.hints[level - 1].c_str());
  if (level < int(task.hints.size()))
    std::printf("    for %s hint: ./run grade %s --task %s --hint %d\n", level == 0 ? "a" : "the next",
                chapter.c_str(), task.number.c_str(), level + 1);
}

std::string xml(const std::string& text) {
  std::string escaped;
  for (const char c : text)
    escaped += c == '&'                         ? "&amp;"
               : c == '<'                       ? "&lt;"
               : c == '>'                       ? "&gt;"
               : c == '"'                       ? "&quot;"
               : c == '\n'                      ? "&#10;"
               : static_cast<uint8_t>(c) < 0x20 ? " "
                                                : std::string(1, c);
  return escaped;
}

std::string xml_points(int points, int of) {
  return "<properties><property name=\"points\" value=\"" + std::to_string(points) +
         "\"/><property name=\"points_possible\" value=\"" + std::to_string(of) + "\"/></properties>";
}

void write_junit(const std::string& path, const std::string& chapter, const std::vector<const AnyTask*>& tasks,
                 const std::vector<Outcome>& outcomes) {
  int failures = 0, points = 0, possible = 0;
  std::string cases;
  for (size_t i = 0; i < tasks.size(); ++i) {
    const bool passed = outcomes[i].result == Result::passed;
    const int stars = tasks[i]->stars;
    failures += !passed;
    points += passed ? stars : 0;
    possible += stars;
    cases += "  <testcase classname=\"" + xml(chapter) + "\" name=\"" +
             xml(tasks[i]->number + " " + tasks[i]->title) + "\">" + xml_points(passed ? stars : 0, stars) +
             (passed ? "" : "<failure message=\"" + xml(outcomes[i].message) + "\"/>") + "</testcase>\n";
  }
  std::ofstream out(path);
  out << "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuite name=\"" << xml(chapter) << "\" tests=\""
      << tasks.size() << "\" failures=\"" << failures << "\">\n  " << xml_points(points, possible) << "\n"
      << cases << "</testsuite>\n";
  gradus::check(bool(out.flush()), "cannot write ", path);
}

int report(const std::string& chapter, const std::vector<const AnyTask*>& tasks, const void* exercises,
           const Options& options) {
  std::vector<Outcome> outcomes;
  int points = 0, possible = 0;
  for (const AnyTask* task : tasks) {
    const Outcome outcome = options.here ? grade_here(*task, exercises) : grade(*task, exercises);
    const bool passed = outcome.result == Result::passed;
    points += passed ? task->stars : 0;
    possible += task->stars;
    std::printf("%s: %s\n", heading(*task).c_str(),
                passed                                      ? "passed"
                : outcome.result == Result::not_implemented ? "not implemented"
                                                            : "failed");
    // Which one is missing is news only where it is another.
    const bool known = outcome.message == NotImplemented(task->number).what();
    if (!passed && !known) std::printf("%s\n", indented(outcome.message).c_str());
    if (!passed || (!options.task.empty() && options.hint > 0)) print_hints(chapter, *task, options.hint);
    outcomes.push_back(outcome);
  }
  std::printf("%d of %d points\n", points, possible);
  if (!options.junit.empty()) write_junit(options.junit, chapter, tasks, outcomes);
  return points == possible ? 0 : 1;
}

// --- proof ---------------------------------------------------------------------------------------------------------

// What is wrong with the grader of a task, going by what it says of one variant; nothing if that is right.
std::string objection(const AnyTask& task, const std::string& variant, const std::string& cause) {
  const auto found = variants().find(variant);
  if (found == variants().end()) return "this variant is not linked in";
  const Outcome outcome = grade(task, found->second);
  if (variant == "solution") return outcome.result == Result::passed ? "" : "does not pass: " + outcome.message;
  if (outcome.result == Result::passed) return "passes";
  if (variant == "stub")
    return outcome.result == Result::not_implemented ? "" : "does not fail as not implemented: " + outcome.message;
  return outcome.message.find(cause) != std::string::npos
             ? ""
             : "fails, but without the cause \"" + cause + "\": " + outcome.message;
}

int prove(const std::vector<const AnyTask*>& tasks) {
  int proven = 0, all = 0;
  for (const AnyTask* task : tasks) {
    std::vector<std::pair<std::string, std::string>> trials = {{"solution", ""}, {"stub", ""}};
    const std::vector<std::string>& causes = mistakes()[task->number];
    for (size_t i = 0; i < causes.size(); ++i) trials.emplace_back("mistake_" + std::to_string(i + 1), causes[i]);
    for (const auto& [variant, cause] : trials) {
      const std::string wrong = objection(*task, variant, cause);
      std::printf("%s %s: %s%s\n", task->number.c_str(), variant.c_str(), wrong.empty() ? "proven" : "NOT PROVEN, ",
                  indented(wrong).c_str() + 4);
      proven += wrong.empty();
      ++all;
    }
    const bool judged = causes.size() == 2, hinted = task->hints.size() == 3;
    if (!judged) std::printf("%s: NOT PROVEN, it has no two mistakes in exercises.cpp\n", task->number.c_str());
    if (!hinted) std::printf("%s: NOT PROVEN, it has no three hints\n", task->number.c_str());
    all += !judged + !hinted;
  }
  for (const auto& [number, causes] : mistakes())
    if (std::none_of(tasks.begin(), tasks.end(), [&n = number](const AnyTask* t) { return t->number == n; })) {
      std::printf("%s: NOT PROVEN, the grader has no such task\n", number.c_str());
      ++all;
    }
  std::printf("%d of %d proven\n", proven, all);
  return proven == all ? 0 : 1;
}

std::vector<const AnyTask*> chosen(const std::string& chapter, const std::vector<AnyTask>& tasks,
                                   const std::string& number) {
  std::vector<const AnyTask*> result;
  std::string all;
  for (const AnyTask& task : tasks) {
    if (number.empty() || task.number == number) result.push_back(&task);
    all += (all.empty() ? "" : ", ") + task.number;
  }
  gradus::check(!result.empty(), chapter, " has no task ", number, ": its tasks are ", all);
  return result;
}

const void* exercises_of(std::string variant) {
  if (variant.empty()) variant = variants().size() == 1 ? variants().begin()->first : "student";
  std::string all;
  for (const auto& [name, exercises] : variants()) all += (all.empty() ? "" : ", ") + name;
  gradus::check(variants().count(variant), "there is no variant ", variant, " here, only ", all);
  return variants().at(variant);
}

}  // namespace

int run_any(const std::string& chapter, const std::vector<AnyTask>& tasks, int argc, char** argv) {
  Options options;
  CLI::App app("Grades the exercises of " + chapter + ". GRADUS_SEED=NUMBER in the environment changes the data.");
  app.add_option("--task", options.task, "Only this one, such as " + tasks.at(0).number);
  app.add_option("--hint", options.hint, "Also a hint: a nudge, the idea, or nearly the code")
      ->check(CLI::IsMember({1, 2, 3}));
  app.add_option("--junit", options.junit, "Also write a JUnit file, with points as properties");
  app.add_option("--variant", options.variant, "Whose exercises: student, solution, stub, mistake_1, mistake_2");
  app.add_flag("--here", options.here, "In this process, for a debugger: a crash ends the program");
  app.add_flag("--prove", options.prove,
               "Prove the grader: the solution passes, the stub is not implemented, each mistake fails by its name");
  try {
    app.parse(argc, argv);
    seed();  // or an error in it
    const std::vector<const AnyTask*> which = chosen(chapter, tasks, options.task);
    if (options.prove) {
      gradus::check(options.task.empty(), "--prove is for all tasks");
      return prove(which);
    }
    return report(chapter, which, exercises_of(options.variant), options);
  } catch (const CLI::ParseError& wrong) {
    if (wrong.get_exit_code() == 0) return app.exit(wrong);
    std::fprintf(stderr, "error: %s\n", wrong.what());
  } catch (const std::exception& error) {
    std::fprintf(stderr, "error: %s\n", error.what());
  }
  return 2;
}

}  // namespace grading
