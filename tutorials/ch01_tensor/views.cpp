// Chapter 01's worked example, with the miniature: one row of six numbers, seen in five ways.
#include <cstdio>

#include "tensor/error.h"
#include "tutorials/ch01_tensor/mini.h"

using namespace mini;
using gradus::check;

namespace {

void print(const char* name, const std::vector<int>& numbers) {
  std::printf(" %s (", name);
  for (size_t i = 0; i < numbers.size(); ++i) std::printf("%s%d", i ? ", " : "", numbers[i]);
  std::printf(")");
}

// Shape, strides and offset, then the elements of a table row by row.
void show(const char* name, const Array& a) {
  std::printf("%-18s", name);
  print("shape", a.shape);
  print("strides", a.strides);
  std::printf(" offset %d\n", a.offset);
  std::vector<int> index(a.shape.size(), 0);
  do std::printf("%6.0f%s", a.at(index), index.back() == a.shape.back() - 1 ? "\n" : "");
  while (next(index, a.shape));
}

}  // namespace

int main() {
  //! [worked]
  const Array x = make({1, 2, 3, 4, 5, 6}, {2, 3});
  show("x", x);
  show("transposed", transpose(x, 0, 1));
  show("columns 0 and 2", slice(x, 1, 0, 3, 2));
  show("last row", slice(x, 0, 1, 2));

  const Array row = make({10, 20, 30}, {3}), column = make({100, 200}, {2, 1});
  show("row, stretched", expand(row, {2, 3}));
  show("x + row", add(x, row));
  show("column + row", add(column, row));
  show("x, summed over 0", sum(x, 0));
  show("x, summed over 1", sum(x, 1));

  transpose(x, 0, 1).at({2, 0}) = 30;
  show("x, changed", x);
  //! [worked]
  check(x.at({0, 2}) == 30, "a view does not share its numbers");
  check(transpose(x, 0, 1).storage == x.storage && expand(row, {2, 3}).storage == row.storage, "a view copies");
  check(add(x, row).at({1, 2}) == 36 && add(column, row).at({1, 0}) == 210, "add is wrong");
  check(sum(x, 0).shape == std::vector<int>{1, 3} && sum(x, 1).at({1, 0}) == 15, "sum is wrong");
  bool refused = false;
  try {
    add(x, make({1, 2}, {2}));
  } catch (const std::invalid_argument&) {
    refused = true;
  }
  check(refused, "(2, 3) and (2) were added");
}
