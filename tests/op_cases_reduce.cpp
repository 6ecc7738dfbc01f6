// Rows of ops/reduce.cpp.
#include "tests/op_cases.h"

namespace gradus::optable {

namespace {

// For reductions of everything, over [0], and over [0, -1] keeping them. Distinct where `ties` matter.
std::vector<Case> whole(Sample (*make)(const Shape&, double, double), double low = -2, double high = 2) {
  return {{make({4, 5}, low, high)}, {make({67}, low, high)}, {make({}, low, high)}, {make({2, 3, 1, 4}, low, high)}};
}
std::vector<Case> dims(Sample (*make)(const Shape&, double, double), double low = -2, double high = 2) {
  return {{make({4, 5}, low, high)},  {make({2, 3, 4}, low, high)}, {make({33, 2}, low, high)},
          {make({2, 33}, low, high)}, {make({1, 1}, low, high)},    {make({3, 0}, low, high)}};
}
RowOptions large(double low = -2, double high = 2) { return {.large = {real({301, 403}, low, high)}}; }

}  // namespace

void add_reductions(Table& t) {
  t.add(
      "Tensor::sum", [](X x) -> Outputs { return x[0].sum(); }, "x[0].sum()", whole(real), large());
  t.add(
      "Tensor::sum", [](X x) -> Outputs { return x[0].sum({0}); }, "x[0].sum(0)", dims(real), large());
  t.add(
      "Tensor::sum", [](X x) -> Outputs { return x[0].sum({-1}, true); }, "x[0].sum(-1, keepdim=True)", dims(real),
      large());
  t.add(
      "Tensor::sum",
      [](X x) -> Outputs {
        return x[0].sum({0, -1});
      },
      "x[0].sum((0, -1))", dims(real), large());
  t.add("Tensor::sum", [](X x) -> Outputs { return x[0].sum(); }, "x[0].sum()", {{real({0, 3})}});
  t.add(
      "Tensor::sum", [](X x) -> Outputs { return x[0].sum({1}); }, "x[0].sum(1)",
      {{integer({3, 19}, -9, 9)}, {integer({3, 19}, 0, 250, uint8)}, {mask({3, 19})}}, no_gradient);
  t.add(
      "Tensor::mean", [](X x) -> Outputs { return x[0].mean(); }, "x[0].mean()", whole(real), large());
  t.add(
      "Tensor::mean", [](X x) -> Outputs { return x[0].mean({0}); }, "x[0].mean(0)", dims(real), large());
  t.add("Tensor::mean",
        [](X x) -> Outputs {
          return x[0].mean({-1, 0}, true);
        },
        "x[0].mean((-1, 0), keepdim=True)", {{real({4, 5})}, {real({2, 3, 4})}, {real({1, 1})}});
  t.add(
      "Tensor::mean", [](X x) -> Outputs { return x[0].mean(); }, "x[0].mean()", {{real({0})}}, no_gradient);
  t.add(
      "Tensor::prod", [](X x) -> Outputs { return x[0].prod(); }, "x[0].prod()",
      {{real({4, 3})}, {real({})}, {real({1})}, {real({0})}, {real({19}, 0.5, 1.5)}}, large(0.99, 1.01));
  t.add("Tensor::prod", [](X x) -> Outputs { return x[0].prod({-1}); }, "x[0].prod(-1)",
        {{real({4, 5})}, {real({2, 3, 4})}, {real({3, 1})}, {real({0, 3})}, {real({3, 0})}});
  t.add("Tensor::prod", [](X x) -> Outputs { return x[0].prod({0}, true); }, "x[0].prod(0, keepdim=True)",
        {{real({4, 5})}});
  // Zeros: one, and two, in a row of the product; its gradient may not be formed by division.
  t.add("Tensor::prod", [](X x) -> Outputs { return x[0].prod({-1}); }, "x[0].prod(-1)",
        {{given({3, 3}, {1.5, 0, 2, 0, 3, 0, 1, 2, 3})}});
  t.add(
      "Tensor::prod", [](X x) -> Outputs { return x[0].prod({1}); }, "x[0].prod(1)", {{integer({3, 4}, -4, 5)}},
      no_gradient);
  t.add(
      "Tensor::amax", [](X x) -> Outputs { return x[0].amax(); }, "x[0].amax()", whole(distinct), large());
  t.add(
      "Tensor::amax", [](X x) -> Outputs { return x[0].amax({-1}); }, "x[0].amax(-1)",
      {{distinct({4, 5})}, {distinct({2, 33})}, {distinct({3, 1})}, {distinct({0, 3})}}, large());
  t.add("Tensor::amax",
        [](X x) -> Outputs {
          return x[0].amax({0, 2}, true);
        },
        "x[0].amax((0, 2), keepdim=True)", {{distinct({2, 3, 4})}});
  t.add(
      "Tensor::amin", [](X x) -> Outputs { return x[0].amin(); }, "x[0].amin()", whole(distinct), large());
  t.add(
      "Tensor::amin", [](X x) -> Outputs { return x[0].amin({0}); }, "x[0].amin(0)",
      {{distinct({4, 5})}, {distinct({33, 2})}, {distinct({1, 3})}, {distinct({3, 0})}}, large());
  // Equals share the gradient; NaN wins.
  Case equals = {given({2, 4}, {1, 3, 3, 0, -1, -1, -1, -1})};
  t.add(
      "Tensor::amax", [](X x) -> Outputs { return x[0].amax({-1}); }, "x[0].amax(-1)", {equals}, at_tie);
  t.add(
      "Tensor::amin", [](X x) -> Outputs { return x[0].amin({-1}); }, "x[0].amin(-1)", {equals}, at_tie);
  Case odd = {given({3, 4}, {1, nan, 3, inf, -inf, -1, -inf, -1, inf, 2, 2, inf})};
  t.add(
      "Tensor::amax", [](X x) -> Outputs { return x[0].amax({-1}); }, "x[0].amax(-1)",
      {odd, {integer({3, 19}, -9, 9)}}, no_gradient);
  t.add(
      "Tensor::amin", [](X x) -> Outputs { return x[0].amin({-1}); }, "x[0].amin(-1)",
      {odd, {integer({3, 19}, -9, 9)}}, no_gradient);
  t.add("Tensor::max()", [](X x) -> Outputs { return x[0].max(); }, "x[0].max()",
        {{distinct({4, 5})}, {distinct({})}});
  t.add("Tensor::min()", [](X x) -> Outputs { return x[0].min(); }, "x[0].min()",
        {{distinct({4, 5})}, {distinct({})}});
  t.add(
      "Tensor::max(int64_t, bool)", [](X x) -> Outputs { return x[0].max(-1); }, "x[0].max(-1)",
      {{distinct({4, 5})}, {distinct({2, 33})}, {distinct({3, 1})}, {distinct({0, 3})}}, large());
  t.add("Tensor::max(int64_t, bool)", [](X x) -> Outputs { return x[0].max(0, true); }, "x[0].max(0, keepdim=True)",
        {{distinct({4, 5})}, {distinct({2, 3, 4})}, {distinct({67})}});
  t.add("Tensor::min(int64_t, bool)", [](X x) -> Outputs { return x[0].min(-1); }, "x[0].min(-1)",
        {{distinct({4, 5})}, {distinct({2, 33})}, {distinct({3, 1})}, {distinct({0, 3})}});
  t.add("Tensor::min(int64_t, bool)", [](X x) -> Outputs { return x[0].min(0, true); }, "x[0].min(0, keepdim=True)",
        {{distinct({4, 5})}, {distinct({2, 3, 4})}, {distinct({67})}});
  // The first of equals is named and has the whole gradient.
  t.add(
      "Tensor::max(int64_t, bool)", [](X x) -> Outputs { return x[0].max(-1); }, "x[0].max(-1)", {equals}, at_tie);
  t.add(
      "Tensor::min(int64_t, bool)", [](X x) -> Outputs { return x[0].min(-1); }, "x[0].min(-1)", {equals}, at_tie);
  t.add(
      "Tensor::max(int64_t, bool)", [](X x) -> Outputs { return x[0].max(-1); }, "x[0].max(-1)",
      {odd, {integer({3, 19}, -9, 9)}}, no_gradient);
  t.add(
      "Tensor::min(int64_t, bool)", [](X x) -> Outputs { return x[0].min(-1); }, "x[0].min(-1)",
      {odd, {integer({3, 19}, -9, 9)}}, no_gradient);

  t.add(
      "Tensor::var", [](X x) -> Outputs { return x[0].var(); }, "x[0].var()", {{real({4, 5})}, {real({67})}},
      large());
  t.add(
      "Tensor::var", [](X x) -> Outputs { return x[0].var({0}, 0); }, "x[0].var(0, correction=0)",
      {{real({4, 5})}, {real({2, 3, 4})}, {real({2, 0})}}, large());
  t.add("Tensor::var",
        [](X x) -> Outputs {
          return x[0].var({0, -1}, 1, true);
        },
        "x[0].var((0, -1), correction=1, keepdim=True)", {{real({4, 5})}, {real({2, 3, 4})}});
  // Far from zero, the difference of mean square and squared mean would have no digit left.
  t.add(
      "Tensor::var", [](X x) -> Outputs { return x[0].var({-1}); }, "x[0].var(-1)",
      {{constant(real({3, 33}, 255, 257))}}, no_gradient);
  t.add(
      "Tensor::std", [](X x) -> Outputs { return x[0].std(); }, "x[0].std()", {{real({4, 5})}, {real({67})}},
      large());
  t.add(
      "Tensor::std", [](X x) -> Outputs { return x[0].std({-1}, 0, true); },
      "x[0].std(-1, correction=0, keepdim=True)", {{real({4, 5})}, {real({2, 3, 4})}, {real({0, 3})}}, large());
  t.add(
      "Tensor::norm", [](X x) -> Outputs { return x[0].norm(); }, "torch.linalg.vector_norm(x[0])", whole(real),
      large());
  t.add(
      "Tensor::norm", [](X x) -> Outputs { return x[0].norm(2, {-1}, true); },
      "torch.linalg.vector_norm(x[0], 2, -1, keepdim=True)", {{real({4, 5})}, {real({2, 33})}, {real({0, 3})}},
      large());
  t.add(
      "Tensor::norm", [](X x) -> Outputs { return x[0].norm(1, {0}); }, "torch.linalg.vector_norm(x[0], 1, 0)",
      {{real({4, 5})}, {real({33, 2})}}, large());
  t.add(
      "Tensor::norm",
      [](X x) -> Outputs {
        return x[0].norm(3, {0, 1});
      },
      "torch.linalg.vector_norm(x[0], 3, (0, 1))", {{real({4, 5})}, {real({2, 3, 2})}}, large());
  t.add(
      "Tensor::norm", [](X x) -> Outputs { return x[0].norm(inf, {-1}); },
      "torch.linalg.vector_norm(x[0], math.inf, -1)", {{distinct({4, 5})}, {distinct({19})}}, large());
  // Of nothing but zeros: gradient 0.
  t.add(
      "Tensor::norm", [](X x) -> Outputs { return x[0].norm(2, {-1}); }, "torch.linalg.vector_norm(x[0], 2, -1)",
      {{given({2, 2}, {0, 0, 3, 4})}}, at_tie);
  t.add(
      "Tensor::norm", [](X x) -> Outputs { return x[0].norm(1, {-1}); }, "torch.linalg.vector_norm(x[0], 1, -1)",
      {{given({2, 2}, {0, 0, 3, 0})}}, at_tie);
  t.add(
      "Tensor::logsumexp", [](X x) -> Outputs { return x[0].logsumexp(); },
      "torch.logsumexp(x[0], tuple(range(x[0].dim())))", {{real({4, 5})}, {real({67})}, {real({1})}}, large());
  t.add(
      "Tensor::logsumexp", [](X x) -> Outputs { return x[0].logsumexp({-1}); }, "torch.logsumexp(x[0], -1)",
      {{real({4, 5})}, {real({2, 33})}, {real({3, 1})}, {real({0, 3})}}, large());
  t.add("Tensor::logsumexp",
        [](X x) -> Outputs {
          return x[0].logsumexp({0, 1}, true);
        },
        "torch.logsumexp(x[0], (0, 1), keepdim=True)", {{real({4, 5})}, {real({2, 3, 2})}});
  // Beyond the range of exp, and all of it masked.
  t.add(
      "Tensor::logsumexp", [](X x) -> Outputs { return x[0].logsumexp({-1}); }, "torch.logsumexp(x[0], -1)",
      {{given({2, 3}, {1000, 1001, 999, -1000, -1001, -2000})}}, at_tie);
  t.add(
      "Tensor::logsumexp", [](X x) -> Outputs { return x[0].logsumexp({-1}); }, "torch.logsumexp(x[0], -1)",
      {{given({3, 3}, {-inf, -inf, -inf, inf, 1, 2, nan, 1, 2})}}, no_gradient);

  std::vector<Case> masks = {{mask({4, 3})},
                             {mask({2, 33})},
                             {given({3, 2}, {0, 1, 0, 0, nan, 0})},
                             {integer({3, 2}, 0, 2)},
                             {mask({3, 0})}};
  t.add(
      "Tensor::any", [](X x) -> Outputs { return x[0].any({-1}); }, "x[0].any(-1)", masks, no_gradient);
  t.add(
      "Tensor::any", [](X x) -> Outputs { return x[0].any(); }, "x[0].any()", masks, no_gradient);
  t.add(
      "Tensor::all", [](X x) -> Outputs { return x[0].all({0}, true); }, "x[0].all(0, keepdim=True)", masks,
      no_gradient);
  t.add(
      "Tensor::all", [](X x) -> Outputs { return x[0].all(); }, "x[0].all()", masks, no_gradient);

  std::vector<Case> arg_cases = {{distinct({4, 5})},       {distinct({2, 33})}, {distinct({3, 1})}, equals,
                                 {integer({3, 7}, 0, 99)}, {distinct({0, 3})}};
  std::vector<Case> arg_whole = {{distinct({4, 5})}, {distinct({67})}, {distinct({})}, equals};
  t.add("Tensor::argmax(int64_t, bool)", [](X x) -> Outputs { return x[0].argmax(-1); }, "x[0].argmax(-1)", arg_cases,
        {.check = Check::none, .large = {distinct({70, 101}, -8, 8)}});
  t.add(
      "Tensor::argmax(int64_t, bool)", [](X x) -> Outputs { return x[0].argmax(0, true); },
      "x[0].argmax(0, keepdim=True)", {{distinct({4, 5})}, {distinct({2, 3, 4})}, {distinct({19})}}, no_gradient);
  t.add(
      "Tensor::argmax()", [](X x) -> Outputs { return x[0].argmax(); }, "x[0].argmax()", arg_whole, no_gradient);
  t.add(
      "Tensor::argmin(int64_t, bool)", [](X x) -> Outputs { return x[0].argmin(-1); }, "x[0].argmin(-1)", arg_cases,
      no_gradient);
  t.add(
      "Tensor::argmin(int64_t, bool)", [](X x) -> Outputs { return x[0].argmin(0, true); },
      "x[0].argmin(0, keepdim=True)", {{distinct({4, 5})}, {distinct({2, 3, 4})}, {distinct({19})}}, no_gradient);
  t.add(
      "Tensor::argmin()", [](X x) -> Outputs { return x[0].argmin(); }, "x[0].argmin()", arg_whole, no_gradient);
  t.add(
      "Tensor::argmax(int64_t, bool)", [](X x) -> Outputs { return x[0].argmax(-1); }, "x[0].argmax(-1)", {odd},
      no_gradient);
  t.add(
      "Tensor::argmin(int64_t, bool)", [](X x) -> Outputs { return x[0].argmin(-1); }, "x[0].argmin(-1)", {odd},
      no_gradient);

  t.add(
      "Tensor::cumsum", [](X x) -> Outputs { return x[0].cumsum(-1); }, "x[0].cumsum(-1)",
      {{real({4, 5})}, {real({67})}, {real({3, 1})}, {real({0, 3})}, {real({3, 0})}}, large());
  t.add(
      "Tensor::cumsum", [](X x) -> Outputs { return x[0].cumsum(0); }, "x[0].cumsum(0)",
      {{real({4, 5})}, {real({2, 3, 4})}}, large());
  t.add(
      "Tensor::cumsum", [](X x) -> Outputs { return x[0].cumsum(0); }, "x[0].cumsum(0)",
      {{integer({4, 5}, -9, 9)}, {mask({5})}}, no_gradient);
}

}  // namespace gradus::optable
