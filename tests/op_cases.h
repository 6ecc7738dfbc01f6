// The op table: for each op, sample inputs and the same expression twice, here and in PyTorch. It drives the
// comparison of backends, gradient checks, golden values, layouts, threads and storage (op_table_test.cpp).
//
//   t.add("softmax", [](X x) -> Outputs { return softmax(x[0], -1); }, "torch.softmax(x[0], -1)",
//         {{real({3, 5})}, {real({2, 0})}});
//
// To add an op, add its rows in op_cases_*.cpp; then make the golden values again (tools/golden_ops.py).
#pragma once

#include <limits>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "autograd/ops.h"

namespace gradus::optable {

// The numbers of one input. Real ones lie between multiples of 1/4096, so that they are exact in float32 and a kink
// at such a multiple (zero, whole and half numbers) is never nearer than 1/16384; inputs 0, 1 and 2 of a case never
// tie.
struct Sample {
  enum class Kind { real, distinct, integer, given };
  Kind kind = Kind::real;
  Shape shape;
  double low = 0, high = 0;          // low <= value < high
  std::vector<double> numbers = {};  // Kind::given
  std::optional<DType> dtype = {};   // a type of its own; otherwise the floating point type of the run
  bool constant = false;             // no gradient is asked for

  bool wants_gradient() const { return !constant && !dtype; }
  // `position` is the input's place in its case; it decides which numbers are drawn.
  std::vector<double> values(int position) const;
  Tensor make(DType run, int position) const;
};

Sample real(const Shape& shape, double low = -2, double high = 2);
inline Sample positive(const Shape& shape) { return real(shape, 0.25, 2.25); }
Sample distinct(const Shape& shape, double low = -2, double high = 2);  // no two within a tensor are equal
Sample integer(const Shape& shape, int64_t low, int64_t high, DType dtype = int64);
inline Sample mask(const Shape& shape) { return integer(shape, 0, 2, boolean); }
Sample given(const Shape& shape, std::vector<double> numbers);
Sample constant(Sample sample);

using Case = std::vector<Sample>;
using X = const std::vector<Tensor>&;

struct Outputs : std::vector<Tensor> {
  Outputs(Tensor y) : std::vector<Tensor>{std::move(y)} {}
  Outputs(std::pair<Tensor, Tensor> y) : std::vector<Tensor>{std::move(y.first), std::move(y.second)} {}
  Outputs(std::vector<Tensor> y) : std::vector<Tensor>(std::move(y)) {}
};

// Each with the checks of those before it.
enum class Check {
  none,         // forward only: the result has no gradient, or none to speak of (NaN)
  golden_only,  // at a kink or a tie, where a difference quotient says something else: PyTorch's gradient decides
  once,         // gradients of all elements are checked by differences; those of the gradients are refused
  twice,        // and so are the gradients of the gradients
};

struct RowOptions {
  Check check = Check::twice;
  Case large = {};  // big enough to be shared among threads; otherwise that check uses the first case
};

inline const RowOptions no_gradient = {.check = Check::none};
inline const RowOptions once = {.check = Check::once};
inline const RowOptions at_tie = {.check = Check::golden_only};
inline constexpr double inf = std::numeric_limits<double>::infinity(), nan = std::numeric_limits<double>::quiet_NaN();

struct Row {
  std::string op;  // the declaration it stands for: "tanh", "Tensor::sum", "operator-(Tensor, double)"
  Outputs (*run)(const std::vector<Tensor>& x);
  std::string torch;  // the same in PyTorch, of `x`; empty where PyTorch has nothing to compare with
  std::vector<Case> cases;
  RowOptions options;
  int number = 0;  // among the rows of this op

  std::string name(size_t case_index) const;  // "tanh.0.2": op, row and case; the key of its golden values
};

class Table {
 public:
  void add(const char* op, Outputs (*run)(const std::vector<Tensor>&), const char* torch, std::vector<Case> cases,
           RowOptions options = {});
  std::vector<Row> rows;
};

void add_elementwise(Table& t);
void add_shapes(Table& t);
void add_indexing(Table& t);
void add_reductions(Table& t);
void add_products(Table& t);
void add_losses(Table& t);
void add_attention(Table& t);
void add_recurrent(Table& t);

const std::vector<Row>& op_table();

// The case's inputs in the run's type, outside any graph.
std::vector<Tensor> make_inputs(const Case& inputs, DType run);

}  // namespace gradus::optable
