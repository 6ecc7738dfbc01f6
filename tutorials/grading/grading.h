// Graders: they call the functions a reader has written, say in words what is wrong with them, and count points.
//
// A chapter's exercises are a struct of function pointers. exercises.cpp fills one (EXERCISES), grader.cpp judges it,
// task by task, each in a process of its own, so that a crash or an endless loop in one harms no other.
#pragma once

#include <cstdint>
#include <functional>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "tensor/random.h"
#include "tensor/tensor.h"

namespace grading {

// What an exercise throws as long as nobody has written it. It is made in grading.cpp: where an exercise is a kernel,
// the emulator's checker watches all that its own file does with memory.
class NotImplemented : public std::runtime_error {
 public:
  explicit NotImplemented(const std::string& task);
};

// A wrong answer, and what one has done wrong to get it.
struct Known {
  gradus::Tensor value;
  std::string cause;
};

// What a task is judged with. The first demand that is not met ends the task.
class Grade {
 public:
  explicit Grade(uint64_t seed) : random_(seed) {}

  // Seeded by the environment variable GRADUS_SEED (1 if it is not set): graders hold for any seed.
  gradus::Generator& random() { return random_; }

  // Shapes and dtypes are the same, and |got - expected| <= tolerance * (1 + max |expected|) everywhere, the largest
  // among finite numbers. NaN never passes; infinities pass where both are the same; integers and bool compare exactly.
  void equal(const std::string& what, const gradus::Tensor& got, const gradus::Tensor& expected,
             const std::vector<Known>& known = {}, double tolerance = 1e-9) const;
  void equal(const std::string& what, double got, double expected,
             const std::vector<std::pair<double, std::string>>& known = {}, double tolerance = 1e-9) const;

  // `cause` says what is wrong unless ok.
  void that(bool ok, const std::string& cause) const {
    if (!ok) fail(cause);
  }

  // f() throws gradus::Error.
  template <class F>
  void throws(const std::string& what, const F& f) const {
    try {
      f();
    } catch (const gradus::Error&) {
      return;
    }
    fail(what + ": a gradus::Error should be thrown, but none was");
  }

  // If an exception whose message contains `words` ends the task, `cause` is said as well.
  void known_error(const std::string& words, const std::string& cause) { known_errors_.emplace_back(words, cause); }
  const std::vector<std::pair<std::string, std::string>>& known_errors() const { return known_errors_; }

  [[noreturn]] void fail(const std::string& message) const;  // ends the task

 private:
  gradus::Generator random_;
  std::vector<std::pair<std::string, std::string>> known_errors_;
};

template <class Exercises>
struct Task {
  std::string number;  // "3.1"
  std::string title;
  int stars = 1;  // as many points
  std::function<void(const Exercises& student, Grade& grade)> grade;
  std::vector<std::string> hints;  // three, from a nudge to nearly the code
  int seconds = 60;                // it has to end within
};

// --- what the macro and the templates are made of ------------------------------------------------------------------

using AnyTask = Task<const void*>;

// Whose exercises a file has, by its compile definition GRADING_VARIANT: those of a student, or, to prove the grader,
// the solution, a stub, or one with planted mistakes.
struct Registration {
  Registration(const std::string& variant, const void* exercises);
};

// The causes of the planted mistakes of each task, in order; tools/exercises.py writes a file with one of these.
struct Mistakes {
  explicit Mistakes(std::vector<std::pair<std::string, std::vector<std::string>>> causes_by_task);
};

// Whether `task` is the one being graded: what tools/exercises.py plants is only there then, since other tasks may
// call the same function.
bool mistaken(const std::string& task);

int run_any(const std::string& chapter, const std::vector<AnyTask>& tasks, int argc, char** argv);

// The program of a grader; see its --help. Returns 0 if every task passed, 1 if not, 2 for wrong usage.
template <class Exercises>
int run(const std::string& chapter, const std::vector<Task<Exercises>>& tasks, int argc, char** argv) {
  std::vector<AnyTask> any;
  for (const Task<Exercises>& task : tasks) {
    const auto grade = [&task](const void* exercises, Grade& judge) {
      task.grade(*static_cast<const Exercises*>(exercises), judge);
    };
    any.push_back({task.number, task.title, task.stars, grade, task.hints, task.seconds});
  }
  return run_any(chapter, any, argc, argv);
}

}  // namespace grading

#ifndef GRADING_VARIANT
#define GRADING_VARIANT "student"
#endif
// Enters the functions of this file, in the order of the struct: EXERCISES(ch03::Exercises, log_sum_exp, gradient);
#define EXERCISES(Type, ...)                             \
  static const Type exercises_of_this_file{__VA_ARGS__}; \
  static const grading::Registration registration_of_this_file(GRADING_VARIANT, &exercises_of_this_file)
