// The miniature's steps with the library: the same strides, the same results, and what else a Tensor does.
#include <iostream>

#include "autograd/ops.h"
#include "tutorials/ch01_tensor/mini.h"

using namespace gradus;

namespace {

void show(const char* name, const Tensor& x) {
  std::cout << name << ": shape " << to_string(x.shape()) << ", strides " << to_string(x.strides()) << ", offset "
            << x.layout().offset << (x.is_contiguous() ? ", contiguous\n" : "\n");
}

template <class F>
void attempt(F f) {
  try {
    f();
  } catch (const Error& error) {
    std::cout << "error: " << error.what() << "\n";
  }
}

// Whether both have the same shape, strides and elements.
bool same(const Tensor& x, const mini::Array& a) {
  std::vector<double> elements;
  std::vector<int> index(a.shape.size(), 0);
  do elements.push_back(a.at(index));
  while (mini::next(index, a.shape));
  return std::equal(x.shape().begin(), x.shape().end(), a.shape.begin(), a.shape.end()) &&
         std::equal(x.strides().begin(), x.strides().end(), a.strides.begin(), a.strides.end()) &&
         x.to_vector() == elements;
}

void compare_with_the_miniature() {
  const Tensor x = tensor({{1, 2, 3}, {4, 5, 6}}), row = tensor({10, 20, 30}), column = tensor({{100}, {200}});
  const mini::Array a = mini::make({1, 2, 3, 4, 5, 6}, {2, 3}), b = mini::make({10, 20, 30}, {3}),
                    c = mini::make({100, 200}, {2, 1});
  check(same(x, a) && same(x.t(), mini::transpose(a, 0, 1)), "transposed they differ");
  check(same(x.slice(1, 0, 3, 2), mini::slice(a, 1, 0, 3, 2)), "sliced they differ");
  check(same(row.expand({2, 3}), mini::expand(b, {2, 3})), "expanded they differ");
  check(same(x + row, mini::add(a, b)) && same(column + row, mini::add(c, b)), "added they differ");
  check(same(x.sum(0, true), mini::sum(a, 0)) && same(x.sum(1, true), mini::sum(a, 1)), "summed they differ");
}

}  // namespace

int main() {
  compare_with_the_miniature();
  //! [main]
  Tensor x = tensor({{1, 2, 3}, {4, 5, 6}});
  show("x", x);
  show("x.t()", x.t());
  show("x.t().contiguous()", x.t().contiguous());
  show("x.reshape({3, 2})", x.reshape({3, 2}));
  std::cout << x.t() << "\n" << x.reshape({3, 2}) << "\n";
  show("x.sum(0)", x.sum(0));
  show("x.sum(0, true)", x.sum(0, true));

  x.t()[2].fill_(0);  // row 2 of the transpose is column 2 of x
  std::cout << x << "\n" << x / x.sum(1, true) << "\n";

  show("(3, 1) - (3)", tensor({{1}, {2}, {3}}) - tensor({1, 2, 3}));
  attempt([&] { x + tensor({1, 2}); });
  attempt([&] { x.t().view({6}); });
  //! [main]
  check(equal(x, tensor({{1, 2, 0}, {4, 5, 0}})), "a view's change did not reach x");
  check(x.t().storage() == x.storage() && x.t().contiguous().storage() != x.storage(), "who shares is wrong");
}
