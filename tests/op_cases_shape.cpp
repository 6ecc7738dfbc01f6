// Rows of ops/shape.cpp, ops/index.cpp and ops/inplace.cpp.
#include "tests/op_cases.h"

namespace gradus::optable {

void add_shapes(Table& t) {
  t.add("Tensor::reshape",
        [](X x) -> Outputs {
          return x[0].reshape({2, -1});
        },
        "x[0].reshape(2, -1)", {{real({4, 5})}, {real({6})}, {real({1, 2, 1})}, {real({2, 0})}},
        {.large = {real({300, 400})}});
  t.add("Tensor::reshape", [](X x) -> Outputs { return x[0].transpose(0, 1).reshape({-1}); },
        "x[0].transpose(0, 1).reshape(-1)", {{real({4, 5})}, {real({3, 1})}, {real({0, 2})}});
  t.add("Tensor::reshape", [](X x) -> Outputs { return x[0].reshape({}); }, "x[0].reshape(())", {{real({1, 1})}});
  t.add("Tensor::view",
        [](X x) -> Outputs {
          return x[0].contiguous().view({2, -1});
        },
        "x[0].contiguous().view(2, -1)", {{real({4, 5})}, {real({6})}, {real({2, 0})}});
  t.add("Tensor::flatten", [](X x) -> Outputs { return x[0].flatten(); }, "x[0].flatten()",
        {{real({4, 5})}, {real({})}, {real({0, 3})}, {real({2, 1, 3, 2})}});
  t.add("Tensor::flatten", [](X x) -> Outputs { return x[0].flatten(1, -2); }, "x[0].flatten(1, -2)",
        {{real({2, 3, 1, 2})}, {real({2, 3, 4})}});
  t.add("Tensor::unflatten",
        [](X x) -> Outputs {
          return x[0].unflatten(1, {2, -1});
        },
        "x[0].unflatten(1, (2, -1))", {{real({3, 4})}, {real({1, 2, 3})}});
  t.add("Tensor::squeeze()", [](X x) -> Outputs { return x[0].squeeze(); }, "x[0].squeeze()",
        {{real({1, 4, 1, 5})}, {real({1})}, {real({})}, {real({1, 0})}});
  t.add("Tensor::squeeze(int64_t)", [](X x) -> Outputs { return x[0].squeeze(-2); }, "x[0].squeeze(-2)",
        {{real({1, 4, 1, 5})}, {real({4, 5})}});
  t.add("Tensor::unsqueeze", [](X x) -> Outputs { return x[0].unsqueeze(-1); }, "x[0].unsqueeze(-1)",
        {{real({4, 5})}, {real({})}, {real({0})}});
  t.add("Tensor::transpose", [](X x) -> Outputs { return x[0].transpose(0, -1); }, "x[0].transpose(0, -1)",
        {{real({4, 5})}, {real({2, 3, 4})}, {real({1, 7})}, {real({0, 3})}}, {.large = {real({301, 403})}});
  t.add("Tensor::t", [](X x) -> Outputs { return x[0].t(); }, "x[0].t()", {{real({4, 5})}, {real({1, 7})}});
  t.add("Tensor::permute",
        [](X x) -> Outputs {
          return x[0].permute({2, 0, -2});
        },
        "x[0].permute(2, 0, -2)", {{real({2, 3, 4})}, {real({1, 5, 2})}, {real({2, 0, 3})}});
  t.add("Tensor::expand",
        [](X x) -> Outputs {
          return x[0].expand({2, -1, 4});
        },
        "x[0].expand(2, -1, 4)", {{real({3, 1})}, {real({3, 4})}, {real({1, 0, 1})}, {real({2, 3, 1})}});
  t.add("Tensor::expand",
        [](X x) -> Outputs {
          return x[0].expand({2, 3}) * x[1];
        },
        "x[0].expand(2, 3) * x[1]", {{real({}), real({2, 3})}, {real({1, 3}), real({3})}});
  t.add("Tensor::select", [](X x) -> Outputs { return x[0].select(1, -2); }, "x[0].select(1, -2)",
        {{real({4, 5})}, {real({2, 3, 2})}, {real({0, 2})}});
  t.add("Tensor::operator[]", [](X x) -> Outputs { return x[0][1]; }, "x[0][1]",
        {{real({4, 5})}, {real({2})}, {real({2, 0})}});
  // Several regions of one tensor gather in one gradient.
  t.add("Tensor::operator[]", [](X x) -> Outputs { return x[0][0] * x[0][1] + x[0][1] + x[0].sum(); },
        "x[0][0] * x[0][1] + x[0][1] + x[0].sum()", {{real({2, 3})}});
  t.add("Tensor::narrow", [](X x) -> Outputs { return x[0].narrow(-1, 1, 2); }, "x[0].narrow(-1, 1, 2)",
        {{real({4, 5})}, {real({3})}, {real({0, 3})}});
  t.add("Tensor::narrow", [](X x) -> Outputs { return x[0].narrow(0, 1, 0); }, "x[0].narrow(0, 1, 0)",
        {{real({4, 5})}});
  t.add("Tensor::slice", [](X x) -> Outputs { return x[0].slice(0, 1, slice_end, 2); }, "x[0][1::2]",
        {{real({5, 4})}, {real({2})}, {real({1, 3})}, {real({0, 3})}});
  t.add("Tensor::slice", [](X x) -> Outputs { return x[0].slice(-1, -3, -1); }, "x[0][..., -3:-1]",
        {{real({4, 5})}, {real({2})}});
  t.add("Tensor::slice", [](X x) -> Outputs { return x[0].slice(0, 3, 1); }, "x[0][3:1]", {{real({4, 5})}});
  t.add("Tensor::slice", [](X x) -> Outputs { return x[0].slice(0, -100, 100, 3); }, "x[0][-100:100:3]",
        {{real({7})}});
  t.add("Tensor::split(int64_t, int64_t)", [](X x) -> Outputs { return x[0].split(2, -1); }, "x[0].split(2, -1)",
        {{real({3, 5})}, {real({4})}, {real({0, 3})}});
  t.add("Tensor::split(Dims, int64_t)",
        [](X x) -> Outputs {
          return x[0].split(Dims{1, 0, 3}, 0);
        },
        "x[0].split([1, 0, 3], 0)", {{real({4, 3})}, {real({4})}});
  t.add("Tensor::chunk", [](X x) -> Outputs { return x[0].chunk(3, 0); }, "x[0].chunk(3, 0)",
        {{real({7, 2})}, {real({6})}, {real({2, 2})}});
  t.add("Tensor::unfold", [](X x) -> Outputs { return x[0].unfold(0, 3, 2); }, "x[0].unfold(0, 3, 2)",
        {{real({8})}, {real({3, 4})}, {real({7, 2, 2})}});
  t.add("Tensor::unfold", [](X x) -> Outputs { return x[0].unfold(-1, 2, 1); }, "x[0].unfold(-1, 2, 1)",
        {{real({2, 5})}});
  t.add("Tensor::diagonal", [](X x) -> Outputs { return x[0].diagonal(); }, "x[0].diagonal(0, -2, -1)",
        {{real({3, 3})}, {real({2, 3, 5})}, {real({5, 2})}, {real({1, 1})}, {real({0, 0})}});

  t.add("Tensor::clone", [](X x) -> Outputs { return x[0].clone(); }, "x[0].clone()",
        {{real({4, 5})}, {real({})}, {real({0})}});
  t.add("Tensor::contiguous", [](X x) -> Outputs { return x[0].transpose(0, 1).contiguous(); },
        "x[0].transpose(0, 1).contiguous()", {{real({4, 5})}, {real({1, 7})}, {real({0, 3})}},
        {.large = {real({301, 403})}});
  t.add("Tensor::to(DType)", [](X x) -> Outputs { return x[0].to(float64); }, "x[0].to(torch.float64)",
        {{real({4, 5})}, {real({})}, {real({0, 2})}});
  // Too few digits for differences, but these numbers are exact.
  t.add(
      "Tensor::to(DType)", [](X x) -> Outputs { return x[0].to(float32) * 2; }, "x[0].to(torch.float32) * 2",
      {{real({4, 5})}, {real({})}}, at_tie);
  t.add(
      "Tensor::to(DType)", [](X x) -> Outputs { return x[0].to(float32) * 2; }, "x[0].to(torch.float32) * 2",
      {{constant(real({4, 5}))}, {integer({19}, -300, 300)}, {mask({3})}}, no_gradient);
  t.add(
      "Tensor::to(DType)",
      [](X x) -> Outputs {
        return std::vector<Tensor>{x[0].to(int64), (x[0] * x[0]).to(uint8), x[0].to(boolean), x[0].to(float64)};
      },
      "[x[0].to(torch.int64), (x[0] * x[0]).to(torch.uint8), x[0].to(torch.bool), x[0].to(torch.float64)]",
      {{given({8}, {0, 1.75, -1.75, 2.5, -2.5, 0.25, -0.25, -0.0})}, {integer({19}, 0, 15, uint8)}}, no_gradient);
  // bfloat16 keeps eight bits, rounding to nearest, ties to even.
  t.add(
      "Tensor::to(DType)", [](X x) -> Outputs { return x[0].to(bfloat16).to(float32); },
      "x[0].to(torch.bfloat16).to(torch.float32)",
      {{given({8}, {1.00390625, 1.01171875, 1.005859375, -3.1415927, 1e30, inf, -inf, nan})}, {constant(real({37}))}},
      no_gradient);
  t.add("Tensor::to(Device)", [](X x) -> Outputs { return x[0].to(Device::cpu); }, "x[0].to('cpu')",
        {{real({4, 5})}});
  t.add("Tensor::repeat",
        [](X x) -> Outputs {
          return x[0].repeat({2, 1, 3});
        },
        "x[0].repeat(2, 1, 3)", {{real({3, 2})}, {real({2})}, {real({1, 1, 1})}, {real({0, 2})}});
  t.add("Tensor::flip",
        [](X x) -> Outputs {
          return x[0].flip({0, -1});
        },
        "x[0].flip(0, -1)", {{real({3, 4})}, {real({2, 3, 4})}, {real({1, 1})}, {real({0, 3})}});
  t.add("Tensor::roll", [](X x) -> Outputs { return x[0].roll(2, -1); }, "x[0].roll(2, -1)",
        {{real({3, 5})}, {real({4})}, {real({2, 1})}});
  t.add("Tensor::roll", [](X x) -> Outputs { return x[0].roll(-7, 0); }, "x[0].roll(-7, 0)", {{real({3, 2})}});
  t.add("Tensor::tril", [](X x) -> Outputs { return x[0].tril(); }, "x[0].tril()",
        {{real({4, 5})}, {real({2, 3, 3})}, {real({1, 1})}, {real({0, 3})}}, {.large = {real({301, 403})}});
  t.add("Tensor::tril", [](X x) -> Outputs { return x[0].tril(-1); }, "x[0].tril(-1)", {{real({4, 5})}});
  t.add(
      "Tensor::tril", [](X x) -> Outputs { return x[0].tril(1); }, "x[0].tril(1)",
      {{mask({4, 4})}, {integer({4, 4}, 1, 9)}}, no_gradient);
  t.add("Tensor::triu", [](X x) -> Outputs { return x[0].triu(); }, "x[0].triu()",
        {{real({4, 5})}, {real({2, 3, 3})}, {real({1, 1})}, {real({3, 0})}});
  t.add("Tensor::triu", [](X x) -> Outputs { return x[0].triu(2); }, "x[0].triu(2)", {{real({4, 5})}});
  t.add(
      "Tensor::triu", [](X x) -> Outputs { return x[0].triu(); }, "x[0].triu()", {{mask({4, 4})}}, no_gradient);

  t.add("cat",
        [](X x) -> Outputs {
          return cat({x[0], x[1], x[2]}, 1);
        },
        "torch.cat([x[0], x[1], x[2]], 1)",
        {{real({2, 3}), real({2, 1}), real({2, 4})},
         {real({2, 3, 2}), real({2, 0, 2}), real({2, 1, 2})},
         {real({0, 1}), real({0, 2}), real({0, 0})}},
        {.large = {real({101, 403}), real({101, 301}), real({101, 7})}});
  t.add("cat",
        [](X x) -> Outputs {
          return cat({x[0], x[0], x[1]});
        },
        "torch.cat([x[0], x[0], x[1]])", {{real({3}), real({2})}});
  t.add("stack",
        [](X x) -> Outputs {
          return stack({x[0], x[1]}, -1);
        },
        "torch.stack([x[0], x[1]], -1)",
        {{real({3, 4}), real({3, 4})}, {real({}), real({})}, {real({0}), real({0})}});
  t.add("pad",
        [](X x) -> Outputs {
          return pad(x[0], {1, 2}, 0.5);
        },
        "F.pad(x[0], (1, 2), value=0.5)", {{real({3, 4})}, {real({2})}, {real({2, 0})}});
  t.add("pad",
        [](X x) -> Outputs {
          return pad(x[0], {-1, 2, 1, -1});
        },
        "F.pad(x[0], (-1, 2, 1, -1))", {{real({3, 4})}, {real({2, 2, 3})}});
  t.add(
      "one_hot", [](X x) -> Outputs { return one_hot(x[0], 5); }, "F.one_hot(x[0], 5)",
      {{integer({3, 2}, 0, 5)}, {integer({}, 0, 5)}, {integer({0}, 0, 5)}}, no_gradient);

  // In place: the results of changed copies.
  t.add(
      "Tensor::copy_", [](X x) -> Outputs { return x[0].detach().clone().copy_(x[1].detach()); },
      "x[0].detach().clone().copy_(x[1].detach())",
      {{real({3, 4}), real({4})}, {real({3, 4}), integer({3, 1}, 0, 9)}, {integer({5}, 0, 9), real({5})}},
      no_gradient);
  t.add(
      "Tensor::fill_", [](X x) -> Outputs { return x[0].detach().clone().fill_(1.5); },
      "x[0].detach().clone().fill_(1.5)", {{real({3, 4})}, {real({0})}}, no_gradient);
  t.add(
      "Tensor::zero_", [](X x) -> Outputs { return x[0].detach().clone().zero_(); }, "x[0].detach().clone().zero_()",
      {{real({3, 4})}, {integer({3}, 1, 9)}}, no_gradient);
  t.add(
      "Tensor::add_(Tensor, double)", [](X x) -> Outputs { return x[0].detach().clone().add_(x[1].detach(), 0.5); },
      "x[0].detach().clone().add_(x[1].detach(), alpha=0.5)", {{real({3, 4}), real({4})}, {real({5}), real({})}},
      no_gradient);
  t.add(
      "Tensor::add_(double)", [](X x) -> Outputs { return x[0].detach().clone().add_(2); },
      "x[0].detach().clone().add_(2)", {{real({3, 4})}, {integer({3}, 1, 9)}}, no_gradient);
  t.add(
      "Tensor::sub_", [](X x) -> Outputs { return x[0].detach().clone().sub_(x[1].detach(), 2); },
      "x[0].detach().clone().sub_(x[1].detach(), alpha=2)", {{real({3, 4}), real({4})}}, no_gradient);
  t.add(
      "Tensor::mul_(Tensor)", [](X x) -> Outputs { return x[0].detach().clone().mul_(x[1].detach()); },
      "x[0].detach().clone().mul_(x[1].detach())", {{real({3, 4}), real({3, 1})}}, no_gradient);
  t.add(
      "Tensor::mul_(double)", [](X x) -> Outputs { return x[0].detach().clone().mul_(2); },
      "x[0].detach().clone().mul_(2)", {{real({3, 4})}, {integer({3}, 1, 9)}}, no_gradient);
  t.add(
      "Tensor::div_", [](X x) -> Outputs { return x[0].detach().clone().div_(x[1].detach()); },
      "x[0].detach().clone().div_(x[1].detach())", {{real({3, 4}), positive({4})}}, no_gradient);
  // In a view, of what lies beneath it.
  t.add(
      "Tensor::mul_(double)",
      [](X x) -> Outputs {
        Tensor y = x[0].detach().clone();
        y.t().slice(0, 1, slice_end, 2).mul_(3);
        return y;
      },
      "(lambda y: (y.t()[1::2].mul_(3), y)[1])(x[0].detach().clone())", {{real({3, 4})}}, no_gradient);
}

void add_indexing(Table& t) {
  t.add("Tensor::index_select", [](X x) -> Outputs { return x[0].index_select(1, x[1]); },
        "x[0].index_select(1, x[1])",
        {{real({3, 4}), integer({6}, 0, 4)},
         {real({2, 5, 3}), integer({2}, 0, 5)},
         {real({3, 4}), integer({0}, 0, 4)},
         {real({0, 4}), integer({2}, 0, 4)}},
        {.large = {real({200, 300}), integer({500}, 0, 300)}});
  t.add("Tensor::index_select", [](X x) -> Outputs { return x[0].index_select(0, x[1]); },
        "x[0].index_select(0, x[1])", {{real({5}), integer({7}, 0, 5)}, {real({4, 3}), integer({3}, 0, 4)}},
        {.large = {real({300, 200}), integer({500}, 0, 300)}});
  t.add(
      "Tensor::index_select", [](X x) -> Outputs { return x[0].index_select(0, x[1]); }, "x[0].index_select(0, x[1])",
      {{integer({5, 2}, 0, 99), integer({7}, 0, 5)}, {mask({5}), integer({3}, 0, 5)}}, no_gradient);
  t.add("Tensor::gather", [](X x) -> Outputs { return x[0].gather(1, x[1]); }, "x[0].gather(1, x[1])",
        {{real({3, 4}), integer({3, 6}, 0, 4)},
         {real({3, 4}), integer({2, 1}, 0, 4)},
         {real({3, 4}), integer({3, 0}, 0, 4)}},
        {.large = {real({200, 300}), integer({200, 300}, 0, 300)}});
  t.add("Tensor::gather", [](X x) -> Outputs { return x[0].gather(0, x[1]); }, "x[0].gather(0, x[1])",
        {{real({5}), integer({7}, 0, 5)}, {real({2, 3, 2}), integer({4, 3, 2}, 0, 2)}});
  t.add("Tensor::scatter_add", [](X x) -> Outputs { return x[0].scatter_add(1, x[1], x[2]); },
        "x[0].scatter_add(1, x[1], x[2])",
        {{real({3, 4}), integer({3, 6}, 0, 4), real({3, 6})},
         {real({3, 4}), integer({2, 1}, 0, 4), real({2, 1})},
         {real({3, 4}), integer({3, 0}, 0, 4), real({3, 0})}},
        {.large = {real({200, 30}), integer({200, 600}, 0, 30), real({200, 600})}});
  t.add("Tensor::scatter_add", [](X x) -> Outputs { return x[0].scatter_add(0, x[1], x[2]); },
        "x[0].scatter_add(0, x[1], x[2])", {{real({3}), integer({8}, 0, 3), real({8})}},
        {.large = {real({30, 200}), integer({600, 200}, 0, 30), real({600, 200})}});
  t.add("Tensor::index_add", [](X x) -> Outputs { return x[0].index_add(1, x[1], x[2]); },
        "x[0].index_add(1, x[1], x[2])",
        {{real({3, 4}), integer({6}, 0, 4), real({3, 6})},
         {real({2, 3, 2}), integer({2}, 0, 3), real({2, 2, 2})},
         {real({3, 4}), integer({0}, 0, 4), real({3, 0})}},
        {.large = {real({200, 30}), integer({600}, 0, 30), real({200, 600})}});
  t.add("Tensor::index_add", [](X x) -> Outputs { return x[0].index_add(0, x[1], x[2]); },
        "x[0].index_add(0, x[1], x[2])", {{real({4}), integer({6}, 0, 4), real({6})}},
        {.large = {real({30, 200}), integer({600}, 0, 30), real({600, 200})}});
  t.add("Tensor::masked_fill", [](X x) -> Outputs { return x[0].masked_fill(x[1], -1.5); },
        "x[0].masked_fill(x[1], -1.5)",
        {{real({3, 4}), mask({3, 4})},
         {real({2, 3, 4}), mask({3, 1})},
         {real({5}), mask({})},
         {real({0, 3}), mask({3})}},
        {.large = {real({301, 403}), mask({403})}});
  // A large negative fill before a softmax is what it is for.
  t.add("Tensor::masked_fill", [](X x) -> Outputs { return softmax(x[0].masked_fill(x[1], -inf), -1); },
        "torch.softmax(x[0].masked_fill(x[1], -math.inf), -1)", {{real({4, 6}), mask({6})}});
  t.add("Tensor::masked_select", [](X x) -> Outputs { return x[0].masked_select(x[1]); }, "x[0].masked_select(x[1])",
        {{real({3, 4}), mask({3, 4})}, {real({3, 4}), mask({4})}, {real({37}), mask({37})}, {real({0}), mask({0})}});
  t.add(
      "Tensor::nonzero", [](X x) -> Outputs { return x[0].nonzero(); }, "x[0].nonzero()",
      {{mask({3, 4})}, {integer({7}, 0, 2)}, {given({2, 2}, {0, 1.5, -0.0, nan})}, {mask({0, 2})}, {mask({2, 2, 2})}},
      no_gradient);

  t.add("Tensor::sort", [](X x) -> Outputs { return x[0].sort(); }, "x[0].sort(stable=True, dim=-1)",
        {{distinct({3, 5})},
         {distinct({37})},
         {distinct({})},
         {distinct({2, 1})},
         {distinct({0, 3})},
         {distinct({3, 0})}},
        {.large = {distinct({70, 101}, -8, 8)}});
  t.add("Tensor::sort", [](X x) -> Outputs { return x[0].sort(0, true); },
        "x[0].sort(stable=True, dim=0, descending=True)", {{distinct({5, 3})}, {distinct({2, 4, 2})}});
  // Stable, NaN counted as the largest.
  t.add(
      "Tensor::sort", [](X x) -> Outputs { return x[0].sort(); }, "x[0].sort(stable=True, dim=-1)",
      {{given({2, 5}, {1, 0, 1, 0, 1, 2, 2, -inf, inf, 2})}}, at_tie);
  t.add(
      "Tensor::sort", [](X x) -> Outputs { return x[0].sort(-1, true); },
      "x[0].sort(stable=True, dim=-1, descending=True)", {{given({2, 5}, {1, 0, 1, 0, 1, 2, 2, -inf, inf, 2})}},
      at_tie);
  t.add(
      "Tensor::sort", [](X x) -> Outputs { return x[0].sort(); }, "x[0].sort(stable=True, dim=-1)",
      {{given({5}, {1, nan, inf, nan, -1})}, {integer({19}, -5, 5)}, {integer({19}, 0, 5, uint8)}}, no_gradient);
  t.add(
      "Tensor::sort", [](X x) -> Outputs { return x[0].sort(-1, true); },
      "x[0].sort(stable=True, dim=-1, descending=True)",
      {{given({5}, {1, nan, inf, nan, -1})}, {integer({19}, -5, 5)}}, no_gradient);
  t.add("Tensor::topk", [](X x) -> Outputs { return x[0].topk(2); }, "x[0].topk(2)",
        {{distinct({3, 5})}, {distinct({37})}, {distinct({2, 2})}, {distinct({0, 3})}});
  t.add("Tensor::topk", [](X x) -> Outputs { return x[0].topk(3, 0, false); }, "x[0].topk(3, 0, False)",
        {{distinct({5, 3})}, {distinct({3, 2, 2})}});
  t.add("embedding", [](X x) -> Outputs { return embedding(x[0], x[1]); }, "F.embedding(x[0], x[1])",
        {{integer({2, 3}, 0, 5), real({5, 4})},
         {integer({}, 0, 5), real({5, 3})},
         {integer({0}, 0, 5), real({5, 3})},
         {integer({19}, 0, 2), real({2, 1})}},
        {.large = {integer({40, 50}, 0, 30), real({30, 64})}});
  // The row of the padding gets no gradient.
  t.add(
      "embedding", [](X x) -> Outputs { return embedding(x[0], x[1], 1); }, "F.embedding(x[0], x[1], padding_idx=1)",
      {{integer({7}, 0, 3), real({3, 4})}}, at_tie);
}

}  // namespace gradus::optable
