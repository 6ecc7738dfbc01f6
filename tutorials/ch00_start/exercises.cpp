// Chapter 00: three small functions, to see that everything works. tensor/tensor.h and autograd/ops.h say what there
// is.
#include "exercises.h"

#include "autograd/ops.h"
#include "tutorials/grading/grading.h"

using namespace gradus;

namespace {

// 0.1 ★ tensor({{...}, {...}}, {.dtype = ...}) makes a tensor of numbers; so do arange and reshape together.
Tensor table() {
  // BEGIN SOLUTION 0.1
  return arange(0, 6, 1, {.dtype = float64}).reshape({2, 3});
  // END SOLUTION
  // MISTAKE the type is float32, as it is unless one asks for another
  // - return arange(0, 6, 1, {.dtype = float64}).reshape({2, 3});
  // + return arange(0, 6, 1).reshape({2, 3});
  // MISTAKE the six numbers are still in one row
  // - return arange(0, 6, 1, {.dtype = float64}).reshape({2, 3});
  // + return arange(0, 6, 1, {.dtype = float64});
}

// 0.2 ★ Arithmetic of a tensor and a number works element by element: no loop is needed.
Tensor celsius(const Tensor& fahrenheit) {
  // BEGIN SOLUTION 0.2
  return (fahrenheit - 32) * 5 / 9;
  // END SOLUTION
  // MISTAKE in C++, 5 / 9 divides whole numbers and is 0
  // - return (fahrenheit - 32) * 5 / 9;
  // + return (fahrenheit - 32) * (5 / 9);
  // MISTAKE 32 is subtracted after the multiplication, not before
  // - return (fahrenheit - 32) * 5 / 9;
  // + return fahrenheit * 5 / 9 - 32;
}

// 0.3 ★★ Where shapes do not fit, the library throws gradus::Error (tensor/error.h). Try it, and catch that.
bool fits(const Tensor& a, const Tensor& b) {
  // BEGIN SOLUTION 0.3
  try {
    a + b;
    return true;
  } catch (const Error&) {
    return false;
  }
  // END SOLUTION
  // MISTAKE different shapes may fit, too
  // - try {
  // - a + b;
  // - return true;
  // - } catch (const Error&) {
  // - return false;
  // - }
  // + return a.shape() == b.shape();
  // MISTAKE the gradus::Error was not caught
  // - } catch (const Error&) {
  // + } catch (const std::invalid_argument&) {
}

}  // namespace

EXERCISES(ch00::Exercises, table, celsius, fits);
