#include "tests/op_cases.h"

#include <cmath>
#include <numeric>

namespace gradus::optable {

namespace {

constexpr double grid = 4096;

// A linear congruential generator modulo 2^32 (Knuth, TAOCP volume 2, section 3.3.4); its upper half is good
// enough here, and it does not depend on the generator under test.
class Lcg {
 public:
  explicit Lcg(int position) : state_(2654435761u * uint32_t(position + 1)) { next(); }
  double next() {
    state_ = state_ * 1664525u + 1013904223u;
    return double(state_ >> 16) / 65536;
  }

 private:
  uint32_t state_;
};

double place(double x, int position) { return (std::floor(x * grid) + (position % 3 + 1) / 4.0) / grid; }

}  // namespace

std::vector<double> Sample::values(int position) const {
  if (kind == Kind::given) return numbers;
  int64_t n = gradus::numel(shape);
  std::vector<double> out(n);
  if (kind == Kind::distinct) {
    // Multiples of a number prime to n visit every residue once: equal steps in a scattered order.
    int64_t factor = std::max<int64_t>(1, int64_t(0.618 * double(n)));
    while (std::gcd(factor, n) != 1) ++factor;
    for (int64_t i = 0; i < n; ++i)
      out[i] = place(low + (high - low) * double((factor * i + position) % n) / double(n), position);
    return out;
  }
  Lcg lcg(position);
  for (double& v : out) {
    double x = low + (high - low) * lcg.next();
    v = kind == Kind::integer ? std::floor(x) : place(x, position);
  }
  return out;
}

Tensor Sample::make(DType run, int position) const {
  return from_vector(values(position), shape).to(dtype.value_or(run));
}

Sample real(const Shape& shape, double low, double high) { return {Sample::Kind::real, shape, low, high}; }
Sample distinct(const Shape& shape, double low, double high) { return {Sample::Kind::distinct, shape, low, high}; }
Sample integer(const Shape& shape, int64_t low, int64_t high, DType dtype) {
  return {Sample::Kind::integer, shape, double(low), double(high), {}, dtype};
}
Sample given(const Shape& shape, std::vector<double> numbers) {
  return {Sample::Kind::given, shape, 0, 0, std::move(numbers)};
}
Sample constant(Sample sample) {
  sample.constant = true;
  return sample;
}

std::string Row::name(size_t case_index) const {
  return op + "." + std::to_string(number) + "." + std::to_string(case_index);
}

void Table::add(const char* op, Outputs (*run)(const std::vector<Tensor>&), const char* torch,
                std::vector<Case> cases, RowOptions options) {
  int number = 0;
  for (const Row& row : rows) number += row.op == op;
  rows.push_back({op, run, torch, std::move(cases), std::move(options), number});
}

const std::vector<Row>& op_table() {
  static const Table table = [] {
    Table t;
    add_elementwise(t);
    add_shapes(t);
    add_indexing(t);
    add_reductions(t);
    add_products(t);
    add_losses(t);
    add_attention(t);
    add_recurrent(t);
    return t;
  }();
  return table.rows;
}

std::vector<Tensor> make_inputs(const Case& inputs, DType run) {
  std::vector<Tensor> made;
  for (size_t i = 0; i < inputs.size(); ++i) made.push_back(inputs[i].make(run, int(i)));
  return made;
}

}  // namespace gradus::optable
