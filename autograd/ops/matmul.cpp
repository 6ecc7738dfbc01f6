#include <algorithm>
#include <cassert>
#include <map>

#include "autograd/ops/common.h"

namespace gradus {

int64_t& flops_counted() {
  thread_local int64_t flops = 0;
  return flops;
}

namespace {

// A dimension that a product is repeated along, with each operand's stride.
struct Repeat {
  int64_t size, a, b, c;
};

// The kernel needs unit stride along one dimension of each matrix. Along a dimension of size 1 any stride will do.
bool has_unit_stride(const Tensor& x) {
  int rows = x.dim() - 2, columns = x.dim() - 1;
  return x.strides()[rows] == 1 || x.strides()[columns] == 1 || x.shape()[rows] == 1 || x.shape()[columns] == 1 ||
         x.numel() == 0;
}

// Where that element is; null if x is undefined.
void* at(const Tensor& x, int64_t offset) {
  return x.defined() ? static_cast<char*>(data_of(x)) + offset * int64_t(size_of(x.dtype())) : nullptr;
}

View matrices(const Tensor& x, int64_t batch, int64_t batch_stride, int64_t rows, int64_t row_stride, int64_t columns,
              int64_t column_stride, int64_t offset) {
  View v{at(x, offset), 3, {batch, rows, columns}, {}};
  v.strides[0] = batch_stride;
  v.strides[1] = rows == 1 && column_stride != 1 ? 1 : row_stride;
  v.strides[2] = columns == 1 && row_stride != 1 ? 1 : column_stride;
  assert(v.strides[1] == 1 || v.strides[2] == 1);
  return v;
}

// a (..., m, k) b (..., k, n) + bias (n) + residual (..., m, n): the numbers alone. b has a's batch dimensions or none,
// and perhaps a packed form; bias and residual, which may be undefined, are contiguous. `in_place`: into the residual.
Tensor product(const Tensor& a, const Tensor& b, const Tensor& bias = {}, const void* packed_b = nullptr,
               const Tensor& residual = {}, bool in_place = false) {
  if (!has_unit_stride(a)) return product(plain(a), b, bias, packed_b, residual, in_place);
  if (!has_unit_stride(b)) return product(a, plain(b), bias, nullptr, residual, in_place);
  int batch_dims = a.dim() - 2;
  int64_t m = a.size(-2), k = a.size(-1), n = b.size(-1);
  Shape shape = a.shape();
  shape[batch_dims + 1] = n;
  if (k == 0 && residual.defined()) return residual.clone();
  if (k == 0) return bias.defined() ? bias.detach().expand(shape).clone() : zeros(shape, a.options());
  Tensor c = in_place ? residual : empty(shape, a.options());
  if (c.numel() == 0) return c;
  flops_counted() += 2 * c.numel() * k;

  int64_t a_row = a.strides()[batch_dims], a_column = a.strides()[batch_dims + 1];
  int64_t b_row = b.strides()[b.dim() - 2], b_column = b.strides()[b.dim() - 1];
  // Batch dimensions that step through all three alike are one; those left over are looped over.
  SmallVector<Repeat, max_dims> repeats;
  for (int d = 0; d < batch_dims; ++d) {
    Repeat next{a.shape()[d], a.strides()[d], b.dim() > 2 ? b.strides()[d] : 0, c.strides()[d]};
    if (next.size == 1) continue;
    if (!repeats.empty() && repeats.back().a == next.size * next.a && repeats.back().b == next.size * next.b)
      next.size *= repeats.back().size, repeats.back() = next;
    else
      repeats.push_back(next);
  }
  // One b for all of a's rows, and these evenly spaced: the batch is just more rows.
  Repeat last = repeats.empty() ? Repeat{1, 0, 0, 0} : repeats.back();
  bool rows_go_on = m == 1 ? a_column == 1 || k == 1 : last.a == m * a_row;
  if (last.size > 1 && last.b == 0 && rows_go_on) {
    if (m == 1) a_row = last.a;
    m *= last.size;
    repeats.back().size = 1;
  }
  Repeat batch{1, 0, 0, 0};
  for (Repeat& r : repeats)
    if (r.size > batch.size) std::swap(r, batch);

  int64_t calls = 1;
  for (const Repeat& r : repeats) calls *= r.size;
  for (int64_t call = 0; call < calls; ++call) {
    int64_t rest = call, a_offset = 0, b_offset = 0, c_offset = 0;
    for (const Repeat& r : repeats) {
      int64_t i = rest % r.size;
      rest /= r.size;
      a_offset += i * r.a, b_offset += i * r.b, c_offset += i * r.c;
    }
    kernels(a).matmul({.a = matrices(a, batch.size, batch.a, m, a_row, k, a_column, a_offset),
                       .b = matrices(b, batch.size, batch.b, k, b_row, n, b_column, b_offset),
                       .c = matrices(c, batch.size, batch.c, m, n, n, 1, c_offset),
                       .residual = at(residual, c_offset),
                       .bias = data_of(bias),
                       .packed_b = packed_b});
  }
  return c;
}

// As promote_both; matrices may be bfloat16 as well.
void promote_matrices(const char* op, Tensor& a, Tensor& b) {
  if (promote(a.dtype(), b.dtype()) != float64) a = narrowed(a), b = narrowed(b);
  promote_any(op, a, b);
  check(is_floating(a.dtype()), op, ": needs float32, float64 or bfloat16, got ", a.dtype());
}

Tensor rows_of(const Tensor& x) {
  if (x.dim() == 2) return x;
  int64_t rows = 1;
  for (int d = 0; d < x.dim() - 1; ++d) rows *= x.size(d);  // x may be empty: not numel / columns
  return x.reshape({rows, x.size(-1)});
}

// Of all rows, for each column: in float where they are bfloat16, rounded once.
Tensor sum_of_rows(const Tensor& x) {
  return x.dtype() == bfloat16 && x.device() == Device::cpu ? rows_of(x).to(float32).sum({0}).to(bfloat16)
                                                            : rows_of(x).sum({0});
}

Tensor plain_transposed(const Tensor& x) {
  Layout l = x.layout();
  int rows = x.dim() - 2;
  std::swap(l.shape[rows], l.shape[rows + 1]);
  std::swap(l.strides[rows], l.strides[rows + 1]);
  return Tensor(x.storage(), l);
}

// What rules are made of. Only where gradients of gradients are wanted do they pay for being recorded.
Tensor transposed(const Tensor& x) { return grad_enabled() ? x.transpose(-2, -1) : plain_transposed(x); }
Tensor times(const Tensor& a, const Tensor& b, const Tensor& sum = {}) {  // + sum, in its place
  return grad_enabled() ? matmul(a, b) : product(a, b, {}, nullptr, sum, sum.defined());
}

}  // namespace

Gradient product_gradient(const Tensor& left, const Tensor& right, const Kept& kept, int i) {
  // Until it is made, both stay in memory: worth it while they are smaller than what they give.
  if (grad_enabled() || anomaly_mode() || left.size(-2) > std::min(left.size(-1), right.size(-1)))
    return times(transposed(left), right, kept.take_sum(i));
  Gradient g;
  g.product.reset(new Gradient::Product{left, right});
  return g;
}

namespace {

// The same for operands of two or more dimensions, with its gradient.
Tensor recorded_product(const Tensor& a, const Tensor& b) {
  return record("matmul", {a, b}, product(a, b), Keep::inputs, [](const Tensor& g, const Kept& k) {
    Tensor x = k.input(0), y = k.input(1), dx;
    Gradient dy;
    if (k.needs(0)) dx = times(g, transposed(y), k.take_sum(0));
    if (k.needs(1)) dy = y.dim() == 2 ? product_gradient(rows_of(x), rows_of(g), k, 1) : product_gradient(x, g, k, 1);
    return grads(dx, std::move(dy));
  });
}

}  // namespace

Tensor matmul(const Tensor& left, const Tensor& right) {
  Tensor a = left, b = right;
  promote_matrices("matmul", a, b);
  check(a.dim() > 0 && b.dim() > 0, "matmul: operands need at least one dimension, got ", a.shape(), " and ",
        b.shape());
  int64_t inner = b.size(b.dim() == 1 ? 0 : -2);
  check(a.size(-1) == inner, "matmul: ", left.shape(), " has ", a.size(-1), " columns, ", right.shape(), " has ",
        inner, " rows");
  if (a.dim() == 1) return matmul(a.unsqueeze(0), b).squeeze(b.dim() == 1 ? 0 : -2);
  if (b.dim() == 1) return matmul(a, b.unsqueeze(1)).squeeze(-1);
  if (b.dim() == 2) return recorded_product(a, b);

  auto batch_of = [](const Tensor& x) { return Shape(std::span(x.shape().begin(), x.shape().end() - 2)); };
  auto expanded = [](const Tensor& x, Shape shape) {
    shape.push_back(x.size(-2));
    shape.push_back(x.size(-1));
    return x.shape() == shape ? x : x.expand(shape);
  };
  Shape batch = broadcast_shapes("matmul", batch_of(a), batch_of(b));
  return recorded_product(expanded(a, batch), expanded(b, batch));
}

Tensor addmm(const Tensor& input, const Tensor& left, const Tensor& right) {
  Tensor a = left, b = right;
  promote_matrices("addmm", a, b);
  Tensor c = match("addmm", input, a);
  check(a.dim() == 2 && b.dim() == 2 && a.size(1) == b.size(0), "addmm: cannot multiply ", a.shape(), " by ",
        b.shape());
  Shape shape{a.size(0), b.size(1)};
  if (c.shape() != shape) c = c.expand(shape);
  return record("addmm", {c, a, b}, product(a, b, {}, nullptr, plain(c)), Keep::inputs,
                [](const Tensor& g, const Kept& k) {
                  Tensor da, db;
                  if (k.needs(1)) da = times(g, transposed(k.input(2)), k.take_sum(1));
                  if (k.needs(2)) db = times(transposed(k.input(1)), g, k.take_sum(2));
                  return grads(g, da, db);
                });
}

Tensor dot(const Tensor& a, const Tensor& b) {
  check(a.dim() == 1 && b.dim() == 1 && a.size(0) == b.size(0), "dot: needs two vectors of one length, got ",
        a.shape(), " and ", b.shape());
  return matmul(a, b);
}

Tensor outer(const Tensor& a, const Tensor& b) {
  check(a.dim() == 1 && b.dim() == 1, "outer: needs two vectors, got ", a.shape(), " and ", b.shape());
  return a.unsqueeze(1) * b;
}

Tensor linear(const Tensor& input, const Tensor& weight, const Tensor& bias) {
  Tensor x = input, w = weight;
  promote_matrices("linear", x, w);
  Tensor b = match("linear", bias, x);
  check(w.dim() == 2, "linear: weight must be (out, in), got ", w.shape());
  check(x.dim() > 0, "linear: input must be (..., in), got ", x.shape());
  check(x.size(-1) == w.size(1), "linear: input ", x.shape(), " has ", x.size(-1), " features, weight ", w.shape(),
        " expects ", w.size(1));
  check(!b.defined() || b.shape() == Shape{w.size(0)}, "linear: bias ", b.defined() ? b.shape() : Shape{},
        " does not fit weight ", w.shape(), ", which expects ", Shape{w.size(0)});
  if (x.dim() == 1) return linear(x.unsqueeze(0), w, b).squeeze(0);
  auto packed = packed_weight(w, x.numel() / std::max<int64_t>(1, x.size(-1)));
  Tensor y = product(x, plain_transposed(w), b.is_contiguous() ? b : plain(b), packed.get());
  //! [linear_rule]
  return record("linear", {x, w, b}, y, Keep::inputs, [](const Tensor& g, const Kept& k) {
    Tensor dx, db;
    Gradient dw;
    if (k.needs(0)) dx = times(g, k.input(1), k.take_sum(0));
    if (k.needs(1)) dw = product_gradient(rows_of(g), rows_of(k.input(0)), k, 1);
    if (k.needs(2)) db = sum_of_rows(g);
    return grads(dx, std::move(dw), db);
  });
  //! [linear_rule]
}

// --- einsum --------------------------------------------------------------------------------------------------------

namespace {

// A tensor whose dimensions have names. "..." stands for the labels '0' (the last dimension) to '7'.
struct Labelled {
  Tensor x;
  std::string labels;

  void permute_to(const std::string& order) {
    if (labels == order) return;
    Dims dims;
    for (char label : order) dims.push_back(int64_t(labels.find(label)));
    x = x.permute(dims);
    labels = order;
  }
  void sum_over(const std::string& gone) {
    Dims dims;
    std::string left;
    for (size_t i = 0; i < labels.size(); ++i) {
      if (gone.find(labels[i]) == std::string::npos)
        left += labels[i];
      else
        dims.push_back(int64_t(i));
    }
    if (!dims.empty()) x = x.sum(dims);
    labels = left;
  }
};

bool has(const std::string& labels, char label) { return labels.find(label) != std::string::npos; }

bool is_letter(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); }

// The labels of `term` (letters and at most one "...") for a tensor of `ndim` dimensions.
std::string parse_term(const std::string& equation, const std::string& term, int ndim) {
  size_t dots = term.find("...");
  int letters = int(term.size()) - (dots == std::string::npos ? 0 : 3);
  std::string labels;
  for (size_t i = 0; i < term.size(); ++i) {
    if (i == dots) {
      for (int d = ndim - letters - 1; d >= 0; --d) labels += char('0' + d);
      i += 2;
    } else {
      check(is_letter(term[i]), "einsum: \"", equation, "\" has an unexpected '", std::string(1, term[i]), "'");
      labels += term[i];
    }
  }
  return labels;
}

Labelled parse_operand(const std::string& equation, const std::string& term, const Tensor& x) {
  Labelled operand{x, parse_term(equation, term, x.dim())};
  check(int(operand.labels.size()) == x.dim(), "einsum: \"", term, "\" in \"", equation, "\" names ",
        operand.labels.size(), " dimensions, the operand has shape ", x.shape());
  // A letter that occurs twice takes the diagonal.
  for (size_t i = 0; i < operand.labels.size(); ++i) {
    size_t j = operand.labels.find(operand.labels[i], i + 1);
    if (j == std::string::npos) continue;
    check(operand.x.size(i) == operand.x.size(j), "einsum: '", std::string(1, operand.labels[i]), "' in \"", equation,
          "\" names dimensions of sizes ", operand.x.size(i), " and ", operand.x.size(j));
    Dims order;
    std::string labels;
    for (size_t d = 0; d < operand.labels.size(); ++d) {
      if (d == i || d == j) continue;
      order.push_back(int64_t(d));
      labels += operand.labels[d];
    }
    order.push_back(int64_t(i));
    order.push_back(int64_t(j));
    operand = {operand.x.permute(order).diagonal(), labels + operand.labels[i]};
    i = size_t(-1);
  }
  return operand;
}

// Sums the products of a and b over the labels that are not `wanted`.
Labelled contract(Labelled a, Labelled b, const std::string& wanted) {
  std::string batch, summed, only_a, only_b, lone_a, lone_b;
  for (char label : a.labels) {
    if (has(b.labels, label))
      (has(wanted, label) ? batch : summed) += label;
    else
      (has(wanted, label) ? only_a : lone_a) += label;
  }
  for (char label : b.labels)
    if (!has(a.labels, label)) (has(wanted, label) ? only_b : lone_b) += label;
  a.sum_over(lone_a);
  b.sum_over(lone_b);
  a.permute_to(batch + only_a + summed);
  b.permute_to(batch + summed + only_b);

  int64_t repeats = 1, rows = 1, inner = 1, columns = 1;
  Shape shape;
  int d = 0;
  for (; d < int(batch.size()); ++d) repeats *= a.x.size(d), shape.push_back(a.x.size(d));
  for (; d < int(batch.size() + only_a.size()); ++d) rows *= a.x.size(d), shape.push_back(a.x.size(d));
  for (; d < a.x.dim(); ++d) inner *= a.x.size(d);
  for (d = int(batch.size() + summed.size()); d < b.x.dim(); ++d)
    columns *= b.x.size(d), shape.push_back(b.x.size(d));
  Tensor y = matmul(a.x.reshape({repeats, rows, inner}), b.x.reshape({repeats, inner, columns}));
  return {y.reshape(shape), batch + only_a + only_b};
}

std::vector<std::string> split_at_commas(const std::string& text) {
  std::vector<std::string> terms(1);
  for (char c : text) {
    if (c == ',')
      terms.emplace_back();
    else
      terms.back() += c;
  }
  return terms;
}

}  // namespace

Tensor einsum(const std::string& equation, const std::vector<Tensor>& operands) {
  std::string text;
  for (char c : equation)
    if (c != ' ') text += c;
  size_t arrow = text.find("->");
  std::vector<std::string> terms = split_at_commas(text.substr(0, arrow));
  check(!operands.empty() && terms.size() == operands.size(), "einsum: \"", equation, "\" names ", terms.size(),
        " operands, got ", operands.size());

  std::vector<Labelled> parsed;
  std::map<char, int64_t> sizes;
  std::map<char, int> occurrences;
  for (size_t i = 0; i < terms.size(); ++i) {
    for (char c : terms[i]) occurrences[c] += is_letter(c);
    parsed.push_back(parse_operand(equation, terms[i], operands[i]));
    for (size_t d = 0; d < parsed[i].labels.size(); ++d) {
      int64_t& size = sizes.try_emplace(parsed[i].labels[d], 1).first->second;
      int64_t here = parsed[i].x.size(d);
      check(size == here || size == 1 || here == 1, "einsum: '", std::string(1, parsed[i].labels[d]), "' in \"",
            equation, "\" has size ", here, " in operand ", i, " and ", size, " before it");
      if (here != 1) size = here;
    }
  }
  // Where others have more, a dimension of size 1 adds nothing: drop it.
  for (Labelled& operand : parsed) {
    for (int d = operand.x.dim() - 1; d >= 0; --d) {
      if (operand.x.size(d) == sizes[operand.labels[d]]) continue;
      operand.x = operand.x.select(d, 0);
      operand.labels.erase(d, 1);
    }
  }

  std::string dots, output;
  for (char label = '7'; label >= '0'; --label)
    if (sizes.count(label)) dots += label;
  if (arrow == std::string::npos) {
    output = dots;
    for (auto& [label, count] : occurrences)
      if (count == 1) output += label;
  } else {
    std::string term = text.substr(arrow + 2);
    int letters = 0;
    for (char c : term) letters += is_letter(c);
    output = parse_term(equation, term, letters + int(dots.size()));
    for (size_t i = 0; i < output.size(); ++i) {
      check(sizes.count(output[i]), "einsum: '", std::string(1, output[i]), "' is in the output of \"", equation,
            "\" but in no operand");
      check(output.find(output[i], i + 1) == std::string::npos, "einsum: '", std::string(1, output[i]),
            "' occurs twice in the output of \"", equation, "\"");
    }
  }

  Labelled result = parsed[0];
  for (size_t i = 1; i < parsed.size(); ++i) {
    std::string wanted = output;
    for (size_t later = i + 1; later < parsed.size(); ++later) wanted += parsed[later].labels;
    result = contract(result, parsed[i], wanted);
  }
  std::string gone;
  for (char label : result.labels)
    if (!has(output, label)) gone += label;
  result.sum_over(gone);
  result.permute_to(output);
  return result.x;
}

}  // namespace gradus
