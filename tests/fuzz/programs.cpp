// Programs of tensor ops at random: the bytes choose ops, operands, shapes, views and the dtype. Each program is run by
// the reference and by every instruction set, which must agree on its results, gradients and errors; gradients of
// smooth programs in float64 must agree with differences, too. libFuzzer looks for a program with which they do not.
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <string>
#include <vector>

#include "autograd/autograd.h"
#include "autograd/ops.h"
#include "tensor/kernels/table.h"
#include "tests/isas.h"

namespace {

using namespace gradus;

// The fuzzer's bytes; zeros behind the last.
struct Bytes {
  const uint8_t* at;
  const uint8_t* end;
  int64_t below(int64_t n) { return at < end ? *at++ % n : 0; }
};

constexpr int64_t most_elements = 4096, most_steps = 24;

using List = std::vector<Tensor>;
struct Step {
  std::string op;
  std::vector<size_t> operands;
  std::function<Tensor(const List& x)> run;
};
struct Program {
  DType dtype = float64;
  List leaves;
  std::vector<Step> steps;
  bool smooth = true;  // none of its ops has a kink
};

// An op: how many operands, whether it is smooth, and what it does, given some small numbers of the program.
struct Op {
  const char* name;
  int operands;
  bool smooth;
  std::function<Tensor(const List& x, const std::vector<int64_t>& n)> run;
};
// A dimension of x.
int64_t dim_of(const Tensor& x, int64_t n) { return x.dim() ? n % x.dim() : 0; }
Dims dims_of(const Tensor& x, int64_t n) {
  Dims dims;
  for (int d = 0; d < x.dim(); ++d)
    if (n >> d & 1) dims.push_back(d);
  return dims;
}
Tensor indices(const std::vector<int64_t>& n, int64_t size, int64_t count) {
  std::vector<int64_t> chosen;
  for (int64_t i = 0; i < count; ++i) chosen.push_back(size ? (n[0] + i * n[1]) % size : 0);
  return from_vector<int64_t>(chosen, {count});
}

using Numbers = std::vector<int64_t>;
const std::vector<Op> ops = {
    {"add", 2, true, [](const List& x, const Numbers&) { return x[0] + x[1]; }},
    {"subtract", 2, true, [](const List& x, const Numbers&) { return x[0] - x[1]; }},
    {"multiply", 2, true, [](const List& x, const Numbers&) { return x[0] * x[1]; }},
    {"divide", 2, true, [](const List& x, const Numbers&) { return x[0] / (square(x[1]) + 1.0); }},
    {"maximum", 2, false, [](const List& x, const Numbers&) { return maximum(x[0], x[1]); }},
    {"minimum", 2, false, [](const List& x, const Numbers&) { return minimum(x[0], x[1]); }},
    {"where", 3, false, [](const List& x, const Numbers&) { return where(x[0] > 0.1, x[1], x[2]); }},
    {"number", 1, true, [](const List& x, const Numbers& n) { return double(n[0] - 8) - x[0] * 0.5; }},
    {"tanh", 1, true, [](const List& x, const Numbers&) { return tanh(x[0]); }},
    {"sigmoid", 1, true, [](const List& x, const Numbers&) { return sigmoid(x[0]); }},
    {"exp", 1, true, [](const List& x, const Numbers&) { return exp(tanh(x[0])); }},
    {"expm1", 1, true, [](const List& x, const Numbers&) { return expm1(tanh(x[0])); }},
    {"log", 1, true, [](const List& x, const Numbers&) { return log(square(x[0]) + 0.5); }},
    {"log1p", 1, true, [](const List& x, const Numbers&) { return log1p(square(x[0])); }},
    {"sqrt", 1, true, [](const List& x, const Numbers&) { return sqrt(square(x[0]) + 0.5); }},
    {"rsqrt", 1, true, [](const List& x, const Numbers&) { return rsqrt(square(x[0]) + 0.5); }},
    {"pow", 1, true, [](const List& x, const Numbers& n) { return pow(square(x[0]) + 0.5, double(n[0] % 5) - 1.5); }},
    {"erf", 1, true, [](const List& x, const Numbers&) { return erf(x[0]); }},
    {"sin", 1, true, [](const List& x, const Numbers&) { return sin(x[0]); }},
    {"cos", 1, true, [](const List& x, const Numbers&) { return cos(x[0]); }},
    {"gelu", 1, true, [](const List& x, const Numbers& n) { return gelu(x[0], n[0] % 2 ? "tanh" : "none"); }},
    {"silu", 1, true, [](const List& x, const Numbers&) { return silu(x[0]); }},
    {"softplus", 1, true, [](const List& x, const Numbers&) { return softplus(x[0]); }},
    {"abs", 1, false, [](const List& x, const Numbers&) { return abs(x[0]); }},
    {"relu", 1, false, [](const List& x, const Numbers&) { return relu(x[0]); }},
    {"clamp", 1, false, [](const List& x, const Numbers&) { return clamp(x[0], -0.5, 1); }},
    {"matmul", 2, true, [](const List& x, const Numbers&) { return matmul(x[0], x[1]); }},
    {"linear", 2, true, [](const List& x, const Numbers&) { return linear(x[0], x[1]); }},
    {"gram", 1, true, [](const List& x, const Numbers&) { return matmul(x[0], x[0].transpose(-1, -2)); }},
    {"outer", 2, true, [](const List& x, const Numbers&) { return outer(x[0].flatten(), x[1].flatten()); }},
    {"transpose", 1, true,
     [](const List& x, const Numbers& n) { return x[0].transpose(dim_of(x[0], n[0]), dim_of(x[0], n[1])); }},
    {"flatten", 1, true, [](const List& x, const Numbers&) { return x[0].flatten(); }},
    {"unflatten", 1, true,
     [](const List& x, const Numbers& n) {
       const int64_t d = dim_of(x[0], n[0]), parts = 1 + n[1] % 4;
       return x[0].unflatten(d, {parts, x[0].size(d) / parts});
     }},
    {"unsqueeze", 1, true, [](const List& x, const Numbers& n) { return x[0].unsqueeze(n[0] % (x[0].dim() + 1)); }},
    {"squeeze", 1, true, [](const List& x, const Numbers&) { return x[0].squeeze(); }},
    {"narrow", 1, true,
     [](const List& x, const Numbers& n) {
       const int64_t d = dim_of(x[0], n[0]);
       return x[0].narrow(d, n[1] % 3, x[0].size(d) / 2);
     }},
    {"slice", 1, true,
     [](const List& x, const Numbers& n) { return x[0].slice(dim_of(x[0], n[0]), n[1] % 3, slice_end, 2); }},
    {"select", 1, true, [](const List& x, const Numbers& n) { return x[0].select(dim_of(x[0], n[0]), n[1] % 3); }},
    {"expand", 1, true,
     [](const List& x, const Numbers& n) {
       Shape shape = x[0].shape();
       for (int64_t& size : shape)
         if (size == 1) size = 1 + n[0] % 5;
       return x[0].expand(shape);
     }},
    {"diagonal", 1, true, [](const List& x, const Numbers&) { return x[0].diagonal(); }},
    {"unfold", 1, true,
     [](const List& x, const Numbers& n) { return x[0].unfold(dim_of(x[0], n[0]), 1 + n[1] % 3, 1 + n[2] % 2); }},
    {"flip", 1, true, [](const List& x, const Numbers& n) { return x[0].flip(dims_of(x[0], n[0])); }},
    {"roll", 1, true, [](const List& x, const Numbers& n) { return x[0].roll(n[0] - 8, dim_of(x[0], n[1])); }},
    {"tril", 1, true, [](const List& x, const Numbers& n) { return x[0].tril(n[0] - 8); }},
    {"contiguous", 1, true, [](const List& x, const Numbers&) { return x[0].contiguous(); }},
    {"cat", 2, true, [](const List& x, const Numbers& n) { return cat(x, dim_of(x[0], n[0])); }},
    {"stack", 2, true, [](const List& x, const Numbers& n) { return stack(x, dim_of(x[0], n[0])); }},
    {"index_select", 1, true,
     [](const List& x, const Numbers& n) {
       const int64_t d = dim_of(x[0], n[2]);
       return x[0].index_select(d, indices(n, x[0].dim() ? x[0].size(d) : 0, 1 + n[1] % 4));
     }},
    {"embedding", 1, true,
     [](const List& x, const Numbers& n) { return embedding(indices(n, x[0].dim() ? x[0].size(0) : 0, 5), x[0]); }},
    {"sum", 1, true, [](const List& x, const Numbers& n) { return x[0].sum(dims_of(x[0], n[0]), n[1] % 2); }},
    {"mean", 1, true, [](const List& x, const Numbers& n) { return x[0].mean(dims_of(x[0], n[0]), n[1] % 2); }},
    {"var", 1, true, [](const List& x, const Numbers& n) { return x[0].var(dims_of(x[0], n[0]), n[1] % 2); }},
    {"prod", 1, true, [](const List& x, const Numbers& n) { return tanh(x[0]).prod(dims_of(x[0], n[0])); }},
    {"amax", 1, false, [](const List& x, const Numbers& n) { return x[0].amax(dims_of(x[0], n[0]), n[1] % 2); }},
    {"logsumexp", 1, true, [](const List& x, const Numbers& n) { return x[0].logsumexp(dims_of(x[0], n[0])); }},
    {"cumsum", 1, true, [](const List& x, const Numbers& n) { return x[0].cumsum(dim_of(x[0], n[0])); }},
    {"softmax", 1, true, [](const List& x, const Numbers& n) { return softmax(x[0], dim_of(x[0], n[0])); }},
    {"log_softmax", 1, true, [](const List& x, const Numbers& n) { return log_softmax(x[0], dim_of(x[0], n[0])); }},
    {"layer_norm", 1, true,
     [](const List& x, const Numbers&) { return layer_norm(x[0], {x[0].size(-1)}, {}, {}, 0.1); }},
    {"rms_norm", 1, true, [](const List& x, const Numbers&) { return rms_norm(x[0], {}, 0.1); }},
    {"attention", 3, true,
     [](const List& x, const Numbers& n) {
       return scaled_dot_product_attention(x[0], x[1], x[2], {.is_causal = n[0] % 2 == 1});
     }},
    {"mse_loss", 2, true, [](const List& x, const Numbers&) { return mse_loss(x[0], x[1]); }},
    {"cross_entropy", 1, true,
     [](const List& x, const Numbers& n) {
       const Tensor rows = x[0].reshape({-1, x[0].size(-1)});
       return cross_entropy(rows, indices(n, rows.size(1), rows.size(0)));
     }},
};

void require(bool holds, const Program& program, const std::string& what) {
  if (holds) return;
  std::fprintf(stderr, "broken promise: %s\nthe program, in %s:\n", what.c_str(),
               program.dtype == float64 ? "float64" : "float32");
  for (size_t i = 0; i < program.leaves.size(); ++i)
    std::fprintf(stderr, "  x%zu = leaf %s\n", i, to_string(program.leaves[i].shape()).c_str());
  for (size_t i = 0; i < program.steps.size(); ++i) {
    std::fprintf(stderr, "  x%zu = %s(", program.leaves.size() + i, program.steps[i].op.c_str());
    for (size_t operand : program.steps[i].operands) std::fprintf(stderr, " x%zu", operand);
    std::fprintf(stderr, " )\n");
  }
  std::abort();
}

double largest(const Tensor& x) {
  double most = 0;
  for (const double value : x.detach().to_vector<double>())
    most = std::isfinite(value) ? std::max(most, std::abs(value)) : INFINITY;
  return most;
}

// What a step gives, or the words of its error.
std::pair<Tensor, std::string> result_of(const Step& step, const List& all) {
  List operands;
  for (const size_t i : step.operands) operands.push_back(all[i]);
  try {
    return {step.run(operands), ""};
  } catch (const Error& error) {
    return {Tensor(), error.what()};
  }
}

// Reads a program, and runs it while it does so: a step that is an error everywhere, or not finite, is left out.
Program read(Bytes bytes, const std::vector<std::string>& isas) {
  static constexpr int64_t sizes[] = {1, 2, 3, 5, 8, 17, 33, 0};
  Program program;
  program.dtype = bytes.below(3) ? float64 : float32;
  Generator random(uint64_t(bytes.below(256)));
  List all;
  for (int64_t count = 1 + bytes.below(3); count > 0; --count) {
    Shape shape;
    for (int64_t dims = bytes.below(4); dims > 0; --dims) shape.push_back(sizes[bytes.below(8)]);
    if (numel(shape) > most_elements) continue;
    all.push_back(randn(shape, {.dtype = program.dtype}, &random));
  }
  if (all.empty()) all.push_back(randn({3}, {.dtype = program.dtype}, &random));
  program.leaves = all;
  while (bytes.at < bytes.end && int64_t(program.steps.size()) < most_steps) {
    const Op& op = ops[size_t(bytes.below(int64_t(ops.size())))];
    Step step;
    step.op = op.name;
    for (int i = 0; i < op.operands; ++i)
      step.operands.push_back(all.size() - 1 - size_t(bytes.below(int64_t(all.size()))));
    Numbers numbers;
    for (int i = 0; i < 3; ++i) numbers.push_back(bytes.below(16));
    step.run = [run = op.run, numbers](const List& x) { return run(x, numbers); };
    set_isa("reference");
    auto [value, error] = result_of(step, all);
    if (!error.empty()) {
      for (const std::string& isa : isas) {
        set_isa(isa.c_str());
        require(result_of(step, all).second == error, program,
                op.name + (" with " + isa) + " does not say: " + error);
      }
      continue;
    }
    const double size = value.numel() > most_elements ? INFINITY : largest(value);
    if (!std::isfinite(size)) continue;
    if (size > 100) {
      step.op += ", squashed";
      step.run = [run = step.run](const List& x) { return tanh(run(x) * 0.01); };
      set_isa("reference");
      value = result_of(step, all).first;
    }
    program.smooth = program.smooth && op.smooth;
    program.steps.push_back(step);
    all.push_back(value);
  }
  return program;
}

struct Outcome {
  List values, gradients;  // of all steps; of all leaves
};
// The sum of all that the program makes, each number with a weight of its own.
Tensor total(const Program& program, const List& leaves, List* values = nullptr) {
  Generator random(7);
  List all = leaves;
  Tensor sum = zeros({}, {.dtype = program.dtype});
  for (const Step& step : program.steps) {
    auto [value, error] = result_of(step, all);
    require(error.empty(), program, "the second time a step is an error: " + error);
    sum = sum + (value * randn(value.shape(), {.dtype = program.dtype}, &random)).sum();
    all.push_back(value);
  }
  if (values) values->assign(all.begin() + long(leaves.size()), all.end());
  return sum;
}

Outcome run(const Program& program, const std::string& isa) {
  set_isa(isa.c_str());
  Outcome outcome;
  List leaves;
  for (const Tensor& leaf : program.leaves) leaves.push_back(leaf.clone().requires_grad_());
  const Tensor sum = total(program, leaves, &outcome.values);
  if (sum.requires_grad()) sum.backward();
  for (const Tensor& leaf : leaves)
    outcome.gradients.push_back(leaf.grad().defined() ? leaf.grad() : zeros(leaf.shape(), {.dtype = program.dtype}));
  return outcome;
}

double scale_of(const List& list) {
  double scale = 1;
  for (const Tensor& x : list) scale = std::max(scale, largest(x));
  return scale;
}

void compare(const Program& program, const List& ours, const List& reference, const std::string& what) {
  const double tolerance = (program.dtype == float64 ? 1e-8 : 1e-2) * scale_of(reference);
  for (size_t i = 0; i < ours.size(); ++i) {
    require(ours[i].shape() == reference[i].shape(), program, what + " " + std::to_string(i) + " has another shape");
    const double off = largest(ours[i] - reference[i]);
    require(off <= tolerance, program, what + " " + std::to_string(i) + " is off by " + std::to_string(off));
  }
}

// The gradient along a direction, by differences of the fourth order.
void check_gradient(const Program& program, const List& gradients) {
  set_isa("reference");
  const NoGrad guard;
  Generator random(11);
  List directions;
  double along = 0, reach = 0;
  for (size_t i = 0; i < program.leaves.size(); ++i) {
    directions.push_back(randn(program.leaves[i].shape(), {.dtype = float64}, &random));
    along += (gradients[i] * directions.back()).sum().item();
    reach += (gradients[i] * directions.back()).norm(1).item();
  }
  const auto at = [&](double step) {
    List leaves;
    for (size_t i = 0; i < directions.size(); ++i) leaves.push_back(program.leaves[i] + directions[i] * step);
    return total(program, leaves).item();
  };
  const double h = 1e-4;
  const double slope = (8 * (at(h) - at(-h)) - (at(2 * h) - at(-2 * h))) / (12 * h);
  const double off = std::abs(slope - along);
  require(off <= 1e-4 * (1 + reach + std::abs(at(0))), program,
          "the gradient along a direction is " + std::to_string(along) + ", by differences " + std::to_string(slope));
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* bytes, size_t count) {
  static const std::vector<std::string> isas = [] {
    std::vector<std::string> found;
    for (const char* name : {GRADUS_ISAS})
      if (gradus::testing::has_isa(name)) found.push_back(name);
    return found;
  }();
  const Program program = read({bytes, bytes + count}, isas);
  const Outcome reference = run(program, "reference");
  for (const std::string& isa : isas) {
    const Outcome ours = run(program, isa);
    compare(program, ours.values, reference.values, isa + ": step");
    if (program.smooth) compare(program, ours.gradients, reference.gradients, isa + ": the gradient of leaf");
  }
  if (program.smooth && program.dtype == float64) check_gradient(program, reference.gradients);
  return 0;
}
