// Rows of ops/matmul.cpp, softmax.cpp, dropout.cpp, conv.cpp, pool.cpp, norm.cpp and loss.cpp.
#include "tests/op_cases.h"

namespace gradus::optable {

void add_products(Table& t) {
  t.add("matmul", [](X x) -> Outputs { return matmul(x[0], x[1]); }, "torch.matmul(x[0], x[1])",
        {{real({3, 4}), real({4, 5})},
         {real({17, 33}), real({33, 9})},
         {real({1, 1}), real({1, 1})},
         {real({4}), real({4})},
         {real({4}), real({4, 3})},
         {real({3, 4}), real({4})},
         {real({2, 3, 4}), real({2, 4, 5})},
         {real({2, 3, 4}), real({4, 5})},
         {real({3, 4}), real({2, 4, 2})},
         {real({2, 1, 3, 4}), real({3, 4, 2})},
         {real({2, 3, 4}), real({4})},
         {real({4}), real({2, 4, 3})},
         {real({0, 4}), real({4, 3})},
         {real({3, 0}), real({0, 2})},
         {real({3, 4}), real({4, 0})},
         {real({0, 2, 3}), real({3, 2})}},
        {.large = {real({203, 301}), real({301, 157})}});
  t.add("matmul", [](X x) -> Outputs { return matmul(x[0].t(), x[1].t()); }, "torch.matmul(x[0].t(), x[1].t())",
        {{real({4, 3}), real({5, 4})}, {real({33, 17}), real({9, 33})}},
        {.large = {real({301, 203}), real({157, 301})}});
  t.add("addmm", [](X x) -> Outputs { return addmm(x[0], x[1], x[2]); }, "torch.addmm(x[0], x[1], x[2])",
        {{real({3, 5}), real({3, 4}), real({4, 5})},
         {real({5}), real({3, 4}), real({4, 5})},
         {real({17, 1}), real({17, 33}), real({33, 9})},
         {real({3, 1}), real({3, 4}), real({4, 1})},
         {real({3, 2}), real({3, 0}), real({0, 2})}},
        {.large = {real({203, 157}), real({203, 301}), real({301, 157})}});
  // bfloat16: summed in float32, rounded once.
  t.add("matmul", [](X x) -> Outputs { return matmul(x[0].to(bfloat16), x[1].to(bfloat16)).to(float32); },
        "torch.matmul(x[0].to(torch.bfloat16), x[1].to(torch.bfloat16)).to(torch.float32)",
        {{real({3, 4}), real({4, 5})},
         {real({17, 33}), real({33, 9})},
         {real({2, 3, 4}), real({2, 4, 5})},
         {real({2, 3, 4}), real({4, 5})},
         {real({4}), real({4, 3})}},
        {.check = Check::golden_only, .large = {real({203, 301}), real({301, 157})}});
  t.add("matmul", [](X x) -> Outputs { return matmul(x[0], x[0].t()); }, "torch.matmul(x[0], x[0].t())",
        {{real({3, 4})}});
  t.add("matmul", [](X x) -> Outputs { return matmul(x[0], x[1]); }, "torch.matmul(x[0], x[1])",
        {{real({1, 1}), real({1, 1})}}, {.large = {real({16, 67, 31}), real({16, 31, 67})}});
  t.add("dot", [](X x) -> Outputs { return dot(x[0], x[1]); }, "torch.dot(x[0], x[1])",
        {{real({5}), real({5})}, {real({67}), real({67})}, {real({1}), real({1})}, {real({0}), real({0})}});
  t.add("outer", [](X x) -> Outputs { return outer(x[0], x[1]); }, "torch.outer(x[0], x[1])",
        {{real({3}), real({5})}, {real({1}), real({1})}, {real({0}), real({3})}});
  t.add("einsum",
        [](X x) -> Outputs {
          return einsum("bij,bjk->bik", {x[0], x[1]});
        },
        "torch.einsum('bij,bjk->bik', x[0], x[1])",
        {{real({2, 3, 4}), real({2, 4, 5})}, {real({0, 3, 4}), real({0, 4, 2})}});
  t.add("einsum",
        [](X x) -> Outputs {
          return einsum("ij,kj", {x[0], x[1]});
        },
        "torch.einsum('ij,kj', x[0], x[1])", {{real({3, 4}), real({2, 4})}});
  t.add("einsum",
        [](X x) -> Outputs {
          return einsum("bhqd,bhkd->bhqk", {x[0], x[1]});
        },
        "torch.einsum('bhqd,bhkd->bhqk', x[0], x[1])", {{real({2, 2, 3, 4}), real({2, 2, 5, 4})}});
  t.add("einsum",
        [](X x) -> Outputs {
          return einsum("i,j,k->kij", {x[0], x[1], x[2]});
        },
        "torch.einsum('i,j,k->kij', x[0], x[1], x[2])", {{real({2}), real({3}), real({4})}});
  t.add("einsum", [](X x) -> Outputs { return einsum("ijk->ki", {x[0]}); }, "torch.einsum('ijk->ki', x[0])",
        {{real({2, 3, 4})}});
  t.add("einsum",
        [](X x) -> Outputs {
          return einsum("ij,ij->", {x[0], x[1]});
        },
        "torch.einsum('ij,ij->', x[0], x[1])", {{real({3, 4}), real({3, 4})}});
  t.add("einsum",
        [](X x) -> Outputs {
          return einsum("ij,j->j", {x[0], x[1]});
        },
        "torch.einsum('ij,j->j', x[0], x[1])", {{real({3, 4}), real({4})}});
  t.add("linear", [](X x) -> Outputs { return linear(x[0], x[1], x[2]); }, "F.linear(x[0], x[1], x[2])",
        {{real({3, 4}), real({5, 4}), real({5})},
         {real({2, 3, 4}), real({5, 4}), real({5})},
         {real({4}), real({5, 4}), real({5})},
         {real({17, 33}), real({9, 33}), real({9})},
         {real({0, 4}), real({5, 4}), real({5})},
         {real({1, 1}), real({1, 1}), real({1})}},
        {.large = {real({203, 301}), real({157, 301}), real({157})}});
  t.add("linear", [](X x) -> Outputs { return linear(x[0], x[1]); }, "F.linear(x[0], x[1])",
        {{real({3, 4}), real({5, 4})}, {real({2, 3, 4}), real({5, 4})}, {real({4}), real({5, 4})}});
  t.add(
      "linear",
      [](X x) -> Outputs { return linear(x[0].to(bfloat16), x[1].to(bfloat16), x[2].to(bfloat16)).to(float32); },
      "F.linear(*[v.to(torch.bfloat16) for v in x]).to(torch.float32)",
      {{real({3, 4}), real({5, 4}), real({5})}, {real({17, 33}), real({9, 33}), real({9})}}, at_tie);

  std::vector<Case> rows = {{real({4, 5})}, {real({2, 33})}, {real({2, 3, 4})},
                            {real({3, 1})}, {real({7})},     {real({0, 3})}};
  t.add("softmax", [](X x) -> Outputs { return softmax(x[0], -1); }, "torch.softmax(x[0], -1)", rows,
        {.large = {real({301, 403})}});
  t.add("softmax", [](X x) -> Outputs { return softmax(x[0], 0); }, "torch.softmax(x[0], 0)",
        {{real({4, 5})}, {real({2, 3, 4})}, {real({})}});
  t.add("log_softmax", [](X x) -> Outputs { return log_softmax(x[0], -1); }, "torch.log_softmax(x[0], -1)", rows,
        {.large = {real({301, 403})}});
  t.add("log_softmax", [](X x) -> Outputs { return log_softmax(x[0], 1); }, "torch.log_softmax(x[0], 1)",
        {{real({4, 5})}, {real({2, 3, 4})}});
  std::vector<Case> far = {{given({3, 3}, {1000, 1001, 999, -1000, -1001, -2000, 0, 0, 0})}};
  t.add(
      "softmax", [](X x) -> Outputs { return softmax(x[0], -1); }, "torch.softmax(x[0], -1)", far, at_tie);
  t.add(
      "log_softmax", [](X x) -> Outputs { return log_softmax(x[0], -1); }, "torch.log_softmax(x[0], -1)", far,
      at_tie);
  t.add(
      "softmax", [](X x) -> Outputs { return softmax(x[0], -1); }, "torch.softmax(x[0], -1)",
      {{given({2, 3}, {-inf, 1, 2, -inf, -inf, 0.5})}}, at_tie);
  // Which elements are dropped is ours alone; seeded, they are the same in every call.
  t.add("dropout",
        [](X x) -> Outputs {
          manual_seed(7);
          return dropout(x[0], 0.4);
        },
        "", {{real({4, 5})}, {real({67})}, {real({})}, {real({0, 3})}}, {.large = {real({301, 403})}});
  t.add("dropout", [](X x) -> Outputs { return dropout(x[0], 0.4, false); }, "F.dropout(x[0], 0.4, False)",
        {{real({4, 5})}});
  t.add("dropout", [](X x) -> Outputs { return dropout(x[0], 0); }, "F.dropout(x[0], 0.0)", {{real({4, 5})}});
  t.add("dropout", [](X x) -> Outputs { return dropout(x[0], 1); }, "F.dropout(x[0], 1.0)", {{real({4, 5})}});

  t.add("conv2d", [](X x) -> Outputs { return conv2d(x[0], x[1], x[2]); }, "F.conv2d(x[0], x[1], x[2])",
        {{real({2, 3, 5, 6}), real({4, 3, 3, 2}), real({4})},
         {real({1, 1, 1, 1}), real({1, 1, 1, 1}), real({1})},
         {real({1, 2, 3, 19}), real({3, 2, 1, 1}), real({3})},
         {real({0, 2, 4, 4}), real({3, 2, 3, 3}), real({3})}},
        {.large = {real({4, 8, 29, 31}), real({16, 8, 3, 3}), real({16})}});
  t.add("conv2d",
        [](X x) -> Outputs {
          return conv2d(x[0], x[1], {}, {.stride = {2, 1}, .padding = {1, 2}, .dilation = {1, 2}});
        },
        "F.conv2d(x[0], x[1], None, (2, 1), (1, 2), (1, 2))", {{real({2, 2, 6, 5}), real({3, 2, 3, 2})}},
        {.large = {real({4, 8, 29, 31}), real({16, 8, 3, 3})}});
  t.add("conv2d", [](X x) -> Outputs { return conv2d(x[0], x[1], x[2], {.padding = 1, .groups = 2}); },
        "F.conv2d(x[0], x[1], x[2], 1, 1, 1, 2)", {{real({2, 4, 4, 3}), real({6, 2, 3, 3}), real({6})}},
        {.large = {real({4, 8, 29, 31}), real({16, 4, 3, 3}), real({16})}});
  t.add("conv2d", [](X x) -> Outputs { return conv2d(x[0], x[1], {}, {.stride = 2, .groups = 3}); },
        "F.conv2d(x[0], x[1], None, 2, 0, 1, 3)", {{real({2, 3, 5, 5}), real({3, 1, 2, 2})}});
  t.add("conv1d", [](X x) -> Outputs { return conv1d(x[0], x[1], x[2]); }, "F.conv1d(x[0], x[1], x[2])",
        {{real({2, 3, 7}), real({4, 3, 3}), real({4})}, {real({1, 1, 1}), real({1, 1, 1}), real({1})}});
  t.add(
      "conv1d",
      [](X x) -> Outputs { return conv1d(x[0], x[1], {}, {.stride = 2, .padding = 3, .dilation = 2, .groups = 2}); },
      "F.conv1d(x[0], x[1], None, 2, 3, 2, 2)", {{real({2, 4, 9}), real({2, 2, 3})}});
  t.add("conv_transpose2d", [](X x) -> Outputs { return conv_transpose2d(x[0], x[1], x[2]); },
        "F.conv_transpose2d(x[0], x[1], x[2])",
        {{real({2, 3, 3, 4}), real({3, 2, 3, 2}), real({2})}, {real({1, 1, 1, 1}), real({1, 1, 2, 2}), real({1})}},
        {.large = {real({4, 16, 15, 16}), real({16, 8, 3, 3}), real({8})}});
  t.add("conv_transpose2d",
        [](X x) -> Outputs {
          return conv_transpose2d(x[0], x[1], {},
                                  {.stride = {2, 3}, .padding = {1, 0}, .dilation = {2, 1}, .groups = 2}, {1, 2});
        },
        "F.conv_transpose2d(x[0], x[1], None, (2, 3), (1, 0), (1, 2), 2, (2, 1))",
        {{real({2, 4, 3, 2}), real({4, 3, 2, 3})}});

  t.add("max_pool2d", [](X x) -> Outputs { return max_pool2d(x[0], {.kernel = 2}); }, "F.max_pool2d(x[0], 2)",
        {{distinct({2, 3, 4, 6})}, {distinct({1, 1, 5, 5})}, {distinct({1, 1, 2, 2})}, {distinct({0, 2, 4, 4})}},
        {.large = {distinct({2, 3, 32, 30})}});
  t.add("max_pool2d",
        [](X x) -> Outputs {
          return max_pool2d(x[0], {.kernel = {3, 2}, .stride = Pair{2, 1}, .padding = {1, 1}});
        },
        "F.max_pool2d(x[0], (3, 2), (2, 1), (1, 1))", {{distinct({2, 2, 5, 4})}});
  t.add("max_pool2d", [](X x) -> Outputs { return max_pool2d(x[0], {.kernel = 2}, true); },
        "F.max_pool2d(F.relu(x[0]), 2)", {{distinct({2, 3, 4, 6})}, {distinct({1, 1, 5, 5})}},
        {.large = {distinct({2, 3, 32, 30})}});
  // The first of equals has the whole gradient; all below zero, the padding never wins.
  t.add(
      "max_pool2d", [](X x) -> Outputs { return max_pool2d(x[0], {.kernel = 2, .stride = Pair(1), .padding = 1}); },
      "F.max_pool2d(x[0], 2, 1, 1)", {{given({1, 1, 3, 3}, {-1, -1, -2, -1, -1, -3, -4, -4, -1})}}, at_tie);
  t.add("avg_pool2d", [](X x) -> Outputs { return avg_pool2d(x[0], {.kernel = 2}); }, "F.avg_pool2d(x[0], 2)",
        {{real({2, 3, 4, 6})}, {real({1, 1, 5, 5})}, {real({1, 1, 2, 2})}, {real({0, 2, 4, 4})}},
        {.large = {real({8, 8, 30, 32})}});
  t.add("avg_pool2d",
        [](X x) -> Outputs {
          return avg_pool2d(x[0], {.kernel = {3, 2}, .stride = Pair{2, 1}, .padding = {1, 1}});
        },
        "F.avg_pool2d(x[0], (3, 2), (2, 1), (1, 1))", {{real({2, 2, 5, 4})}});
  t.add("avg_pool2d",
        [](X x) -> Outputs { return avg_pool2d(x[0], {.kernel = 3, .stride = Pair(2), .padding = 1}, false); },
        "F.avg_pool2d(x[0], 3, 2, 1, count_include_pad=False)", {{real({2, 2, 5, 4})}});
  t.add("adaptive_avg_pool2d",
        [](X x) -> Outputs {
          return adaptive_avg_pool2d(x[0], {2, 3});
        },
        "F.adaptive_avg_pool2d(x[0], (2, 3))", {{real({2, 2, 4, 6})}, {real({1, 2, 5, 7})}, {real({1, 1, 1, 2})}},
        {.large = {real({8, 8, 30, 32})}});
  t.add("adaptive_avg_pool2d", [](X x) -> Outputs { return adaptive_avg_pool2d(x[0], 1); },
        "F.adaptive_avg_pool2d(x[0], 1)", {{real({2, 3, 4, 5})}, {real({2, 1, 1, 1})}});

  t.add("layer_norm", [](X x) -> Outputs { return layer_norm(x[0], {x[0].size(-1)}, x[1], x[2]); },
        "F.layer_norm(x[0], x[0].shape[-1:], x[1], x[2])",
        {{real({4, 5}), real({5}), real({5})},
         {real({2, 3, 33}), real({33}), real({33})},
         {real({7}), real({7}), real({7})},
         {real({0, 3}), real({3}), real({3})}},
        {.large = {real({301, 203}), real({203}), real({203})}});
  t.add("layer_norm",
        [](X x) -> Outputs {
          return layer_norm(x[0], {3, 4}, x[1], {}, 0.1);
        },
        "F.layer_norm(x[0], (3, 4), x[1], None, 0.1)",
        {{real({2, 3, 4}), real({3, 4})}, {real({3, 4}), real({3, 4})}});
  t.add("layer_norm", [](X x) -> Outputs { return layer_norm(x[0], {x[0].size(-1)}); },
        "F.layer_norm(x[0], x[0].shape[-1:])", {{real({4, 5})}, {real({2, 3, 4})}});
  t.add("rms_norm", [](X x) -> Outputs { return rms_norm(x[0], x[1]); },
        "F.rms_norm(x[0], x[0].shape[-1:], x[1], 1e-6)",
        {{real({4, 5}), real({5})},
         {real({2, 3, 33}), real({33})},
         {real({7}), real({7})},
         {real({3, 1}), real({1})},
         {real({0, 3}), real({3})}},
        {.large = {real({301, 203}), real({203})}});
  t.add("rms_norm", [](X x) -> Outputs { return rms_norm(x[0], {}, 0.1); },
        "F.rms_norm(x[0], x[0].shape[-1:], None, 0.1)", {{real({4, 5})}});
  t.add("group_norm", [](X x) -> Outputs { return group_norm(x[0], 2, x[1], x[2]); },
        "F.group_norm(x[0], 2, x[1], x[2])",
        {{real({2, 4, 3}), real({4}), real({4})},
         {real({1, 6, 2, 3}), real({6}), real({6})},
         {real({3, 4}), real({4}), real({4})}},
        {.large = {real({16, 8, 31, 19}), real({8}), real({8})}});
  t.add("group_norm", [](X x) -> Outputs { return group_norm(x[0], 1, {}, {}, 0.1); },
        "F.group_norm(x[0], 1, eps=0.1)", {{real({2, 4, 3})}});
  t.add("batch_norm", [](X x) -> Outputs { return batch_norm(x[0], {}, {}, x[1], x[2], true); },
        "F.batch_norm(x[0], None, None, x[1], x[2], True)",
        {{real({4, 3}), real({3}), real({3})},
         {real({2, 3, 4, 5}), real({3}), real({3})},
         {real({2, 3, 7}), real({3}), real({3})}},
        {.large = {real({16, 8, 31, 19}), real({8}), real({8})}});
  t.add("batch_norm", [](X x) -> Outputs { return batch_norm(x[0], {}, {}, {}, {}, true, 0.1, 0.1); },
        "F.batch_norm(x[0], None, None, None, None, True, 0.1, 0.1)", {{real({4, 3})}});
  t.add("batch_norm", [](X x) -> Outputs { return batch_norm(x[0], x[3], x[4], x[1], x[2], false); },
        "F.batch_norm(x[0], x[3], x[4], x[1], x[2], False)",
        {{real({4, 3}), real({3}), real({3}), constant(real({3})), constant(positive({3}))},
         {real({2, 3, 4, 5}), real({3}), real({3}), constant(real({3})), constant(positive({3}))},
         {real({0, 3}), real({3}), real({3}), constant(real({3})), constant(positive({3}))}});
  // The running statistics it leaves behind.
  t.add(
      "batch_norm",
      [](X x) -> Outputs {
        Tensor mean = x[1].clone(), var = x[2].clone();
        batch_norm(x[0], mean, var, {}, {}, true, 0.25);
        return std::vector<Tensor>{mean, var};
      },
      "(lambda m, v: (F.batch_norm(x[0], m, v, None, None, True, 0.25), [m, v])[1])(x[1].clone(), "
      "x[2].clone())",
      {{constant(real({4, 3})), constant(real({3})), constant(positive({3}))},
       {constant(real({2, 3, 4, 5})), constant(real({3})), constant(positive({3}))}},
      no_gradient);
  t.add("batch_norm", [](X x) -> Outputs { return batch_norm(x[0], x[1], x[2], {}, {}, false, 0.1, 0.1); },
        "F.batch_norm(x[0], x[1], x[2], None, None, False, 0.1, 0.1)",
        {{real({4, 3}), constant(real({3})), constant(positive({3}))}});
}

void add_losses(Table& t) {
  t.add("cross_entropy", [](X x) -> Outputs { return cross_entropy(x[0], x[1]); }, "F.cross_entropy(x[0], x[1])",
        {{real({4, 5}), integer({4}, 0, 5)},
         {real({2, 3, 4}), integer({2, 4}, 0, 3)},
         {real({2, 3, 2, 2}), integer({2, 2, 2}, 0, 3)},
         {real({1, 1}), integer({1}, 0, 1)}},
        {.large = {real({301, 403}), integer({301}, 0, 403)}});
  t.add("cross_entropy",
        [](X x) -> Outputs {
          return cross_entropy(x[0], x[1], {.weight = x[2], .ignore_index = 2, .label_smoothing = 0.1});
        },
        "F.cross_entropy(x[0], x[1], x[2], ignore_index=2, label_smoothing=0.1)",
        {{real({7, 5}), integer({7}, 0, 5), constant(positive({5}))},
         {real({2, 3, 4}), integer({2, 4}, 0, 3), constant(positive({3}))}});
  t.add("cross_entropy",
        [](X x) -> Outputs {
          return cross_entropy(x[0], x[1], {.weight = x[2], .ignore_index = 2, .reduction = Reduction::none});
        },
        "F.cross_entropy(x[0], x[1], x[2], ignore_index=2, reduction='none')",
        {{real({7, 5}), integer({7}, 0, 5), constant(positive({5}))},
         {real({2, 3, 4}), integer({2, 4}, 0, 3), constant(positive({3}))},
         {real({0, 3}), integer({0}, 0, 3), constant(positive({3}))}});
  t.add(
      "cross_entropy",
      [](X x) -> Outputs { return cross_entropy(x[0], x[1], {.label_smoothing = 0.2, .reduction = Reduction::sum}); },
      "F.cross_entropy(x[0], x[1], label_smoothing=0.2, reduction='sum')",
      {{real({4, 5}), integer({4}, 0, 5)},
       {real({2, 3, 4}), integer({2, 4}, 0, 3)},
       {real({0, 3}), integer({0}, 0, 3)}});
  // Nothing counts: 0 / 0.
  t.add(
      "cross_entropy", [](X x) -> Outputs { return cross_entropy(x[0], x[1], {.ignore_index = 0}); },
      "F.cross_entropy(x[0], x[1], ignore_index=0)", {{real({2, 3}), integer({2}, 0, 1)}}, no_gradient);
  t.add("nll_loss", [](X x) -> Outputs { return nll_loss(x[0], x[1]); }, "F.nll_loss(x[0], x[1])",
        {{real({4, 5}), integer({4}, 0, 5)}, {real({2, 3, 4}), integer({2, 4}, 0, 3)}},
        {.large = {real({301, 403}), integer({301}, 0, 403)}});
  t.add("nll_loss", [](X x) -> Outputs { return nll_loss(x[0], x[1], {.weight = x[2], .ignore_index = 2}); },
        "F.nll_loss(x[0], x[1], x[2], ignore_index=2)",
        {{real({7, 5}), integer({7}, 0, 5), constant(positive({5}))},
         {real({2, 3, 4}), integer({2, 4}, 0, 3), constant(positive({3}))}});
  t.add("nll_loss", [](X x) -> Outputs { return nll_loss(x[0], x[1], {.reduction = Reduction::none}); },
        "F.nll_loss(x[0], x[1], reduction='none')",
        {{real({4, 5}), integer({4}, 0, 5)}, {real({2, 3, 4}), integer({2, 4}, 0, 3)}});
  t.add("nll_loss", [](X x) -> Outputs { return nll_loss(x[0], x[1], {.reduction = Reduction::sum}); },
        "F.nll_loss(x[0], x[1], reduction='sum')", {{real({4, 5}), integer({4}, 0, 5)}});

  std::vector<Case> pairs = {{real({4, 5}), real({4, 5})},
                             {real({67}), real({67})},
                             {real({}), real({})},
                             {real({2, 3, 1}), real({2, 3, 1})}};
  RowOptions large = {.large = {real({301, 403}), real({301, 403})}};
  t.add(
      "mse_loss", [](X x) -> Outputs { return mse_loss(x[0], x[1]); }, "F.mse_loss(x[0], x[1])", pairs, large);
  t.add("mse_loss", [](X x) -> Outputs { return mse_loss(x[0], x[1], Reduction::sum); },
        "F.mse_loss(x[0], x[1], reduction='sum')", {{real({4, 5}), real({4, 5})}, {real({0}), real({0})}});
  t.add("mse_loss", [](X x) -> Outputs { return mse_loss(x[0], x[1], Reduction::none); },
        "F.mse_loss(x[0], x[1], reduction='none')", {{real({4, 5}), real({4, 5})}, {real({0}), real({0})}});
  t.add(
      "l1_loss", [](X x) -> Outputs { return l1_loss(x[0], x[1]); }, "F.l1_loss(x[0], x[1])", pairs, large);
  t.add("l1_loss", [](X x) -> Outputs { return l1_loss(x[0], x[1], Reduction::none); },
        "F.l1_loss(x[0], x[1], reduction='none')", {{real({4, 5}), real({4, 5})}});
  t.add("l1_loss", [](X x) -> Outputs { return l1_loss(x[0], x[1], Reduction::sum); },
        "F.l1_loss(x[0], x[1], reduction='sum')", {{real({4, 5}), real({4, 5})}});
  t.add(
      "l1_loss", [](X x) -> Outputs { return l1_loss(x[0], x[1]); }, "F.l1_loss(x[0], x[1])",
      {{given({3}, {1, 2, 3}), given({3}, {1, 3, 2})}}, at_tie);
  t.add(
      "smooth_l1_loss", [](X x) -> Outputs { return smooth_l1_loss(x[0], x[1]); }, "F.smooth_l1_loss(x[0], x[1])",
      pairs, large);
  t.add("smooth_l1_loss", [](X x) -> Outputs { return smooth_l1_loss(x[0], x[1], 0.7, Reduction::none); },
        "F.smooth_l1_loss(x[0], x[1], beta=0.7, reduction='none')", {{real({4, 5}), real({4, 5})}});
  t.add("smooth_l1_loss", [](X x) -> Outputs { return smooth_l1_loss(x[0], x[1], 1.3, Reduction::sum); },
        "F.smooth_l1_loss(x[0], x[1], beta=1.3, reduction='sum')", {{real({4, 5}), real({4, 5})}});
  t.add(
      "smooth_l1_loss", [](X x) -> Outputs { return smooth_l1_loss(x[0], x[1]); }, "F.smooth_l1_loss(x[0], x[1])",
      {{given({5}, {1, 2, 3, 0, 0}), given({5}, {1, 3, 2, 2, -2})}}, at_tie);
  t.add(
      "binary_cross_entropy_with_logits", [](X x) -> Outputs { return binary_cross_entropy_with_logits(x[0], x[1]); },
      "F.binary_cross_entropy_with_logits(x[0], x[1])",
      {{real({4, 5}), real({4, 5}, 0, 1)}, {real({67}), real({67}, 0, 1)}, {real({}), real({}, 0, 1)}}, large);
  t.add("binary_cross_entropy_with_logits",
        [](X x) -> Outputs { return binary_cross_entropy_with_logits(x[0], x[1], x[2], x[3]); },
        "F.binary_cross_entropy_with_logits(x[0], x[1], x[2], pos_weight=x[3])",
        {{real({4, 5}), constant(real({4, 5}, 0, 1)), constant(positive({4, 5})), constant(positive({5}))}});
  t.add("binary_cross_entropy_with_logits",
        [](X x) -> Outputs { return binary_cross_entropy_with_logits(x[0], x[1], {}, {}, Reduction::none); },
        "F.binary_cross_entropy_with_logits(x[0], x[1], reduction='none')",
        {{real({4, 5}), constant(real({4, 5}, 0, 1))}, {real({0, 5}), constant(real({0, 5}, 0, 1))}});
  t.add("binary_cross_entropy_with_logits",
        [](X x) -> Outputs { return binary_cross_entropy_with_logits(x[0], x[1], {}, x[2], Reduction::sum); },
        "F.binary_cross_entropy_with_logits(x[0], x[1], pos_weight=x[2], reduction='sum')",
        {{real({4, 5}), constant(real({4, 5}, 0, 1)), constant(positive({5}))}});
  t.add(
      "binary_cross_entropy_with_logits", [](X x) -> Outputs { return binary_cross_entropy_with_logits(x[0], x[1]); },
      "F.binary_cross_entropy_with_logits(x[0], x[1])",
      {{given({4}, {-800, 800, -90, 90}), constant(given({4}, {1, 0, 0, 1}))}}, at_tie);
  t.add("kl_div", [](X x) -> Outputs { return kl_div(x[0], x[1]); }, "F.kl_div(x[0], x[1])",
        {{real({4, 5}), real({4, 5}, 0.1, 1)},
         {real({67}), real({67}, 0.1, 1)},
         {real({2, 3, 1}), real({2, 3, 1}, 0.1, 1)}},
        {.large = {real({301, 403}), real({301, 403}, 0.1, 1)}});
  t.add("kl_div", [](X x) -> Outputs { return kl_div(x[0], x[1], Reduction::mean, true, true); },
        "F.kl_div(x[0], x[1], reduction='batchmean', log_target=True)", {{real({4, 5}), real({4, 5})}});
  t.add("kl_div", [](X x) -> Outputs { return kl_div(x[0], x[1], Reduction::none); },
        "F.kl_div(x[0], x[1], reduction='none')",
        {{real({4, 5}), real({4, 5}, 0.1, 1)}, {real({0, 5}), real({0, 5})}});
  t.add("kl_div", [](X x) -> Outputs { return kl_div(x[0], x[1], Reduction::sum, true); },
        "F.kl_div(x[0], x[1], reduction='sum', log_target=True)", {{real({4, 5}), real({4, 5})}});
  // A target of zero counts as zero, not as 0 log 0.
  t.add("kl_div", [](X x) -> Outputs { return kl_div(x[0], x[1], Reduction::sum); },
        "F.kl_div(x[0], x[1], reduction='sum')", {{real({4}), constant(given({4}, {0, 0.5, 0, 0.5}))}});
}

}  // namespace gradus::optable
