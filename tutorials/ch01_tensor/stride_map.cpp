// What chapter 01's figures are drawn from: each element of some views, where it lies in memory, and its value.
#include <cstdio>

#include "tensor/error.h"
#include "tutorials/ch01_tensor/mini.h"

using namespace mini;

namespace {

// Tables only. The name comes last, since it has commas.
void list(const char* name, const Array& a) {
  std::vector<int> index(2, 0);
  do {
    std::printf("%d,%d,%d,%d,%d,%d,%.0f,%s\n", index[0], index[1], a.strides[0], a.strides[1], a.offset,
                a.place(index), a.at(index), name);
  } while (next(index, a.shape));
}

}  // namespace

int main() {
  std::printf("row,column,stride0,stride1,offset,place,value,view\n");
  const Array x = make({1, 2, 3, 4, 5, 6}, {2, 3});
  list("x", x);
  list("transpose(x, 0, 1)", transpose(x, 0, 1));
  list("slice(x, 1, 0, 3, 2)", slice(x, 1, 0, 3, 2));
  list("slice(x, 0, 1, 2)", slice(x, 0, 1, 2));
  const Array last = slice(x, 1, 2, 3);
  list("expand(slice(x, 1, 2, 3), {2, 4})", expand(last, {2, 4}));
  gradus::check(expand(last, {2, 4}).place({1, 3}) == last.place({1, 0}), "a stretched dimension moves");

  const Array column = make({100, 200}, {2, 1}), row = make({10, 20, 30}, {3});
  list("column", expand(column, {2, 3}));
  list("row", expand(row, {2, 3}));
  list("column + row", add(column, row));
  list("sum over 0", sum(add(column, row), 0));
  list("sum over 1", sum(add(column, row), 1));
}
