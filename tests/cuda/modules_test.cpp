// Modules in float64 on the device: outputs and the gradients of inputs and parameters are the reference's, and those
// of inputs agree with difference quotients.
#include <functional>

#include "nn/nn.h"
#include "tensor/random.h"
#include "tests/cuda/device.h"

namespace gradus {
namespace {

using testing::difference;
using Module = std::shared_ptr<nn::Module>;

struct Row {
  const char* name;
  std::function<Module()> make;
  std::function<Tensor(const nn::Module&, const std::vector<Tensor>&)> run;
  std::vector<Shape> inputs;
};
void PrintTo(const Row& row, std::ostream* out) { *out << row.name; }

// A module of one input.
template <class M, class... Arguments>
Row row(const char* name, const Shape& input, const Arguments&... arguments) {
  return {name,
          [=] { return std::make_shared<M>(arguments...); },
          [](const nn::Module& m, const std::vector<Tensor>& x) { return static_cast<const M&>(m)(x[0]); },
          {input}};
}
template <class M>
Row recurrent_row(const char* name) {
  return {name,
          [] { return std::make_shared<M>(3, 4, nn::RecurrentOptions{.num_layers = 2, .bidirectional = true}); },
          [](const nn::Module& m, const std::vector<Tensor>& x) { return static_cast<const M&>(m)(x[0]).output; },
          {{2, 5, 3}}};
}

std::vector<Row> rows() {
  const nn::TransformerOptions small{.d_model = 8, .heads = 2, .ffn = 6, .dropout = 0};
  return {
      row<nn::Linear>("Linear", {4, 3}, 3, 5),
      row<nn::Conv1d>("Conv1d", {2, 3, 9}, 3, 4, 3),
      row<nn::Conv2d>("Conv2d", {2, 4, 6, 5}, 4, 6, Pair(3),
                      nn::Conv2dOptions{.stride = 2, .padding = 1, .groups = 2}),
      row<nn::BatchNorm2d>("BatchNorm2d", {3, 2, 4, 3}, 2),
      row<nn::ResidualBlock>("ResidualBlock", {2, 3, 4, 5}, 3, 4, nn::ResidualOptions{.stride = 2}),
      row<nn::SqueezeExcitation>("SqueezeExcitation", {2, 4, 3, 3}, 4, 2),
      row<nn::CBAM>("CBAM", {2, 4, 5, 4}, 4, 2),
      row<nn::NonLocalBlock>("NonLocalBlock", {2, 4, 3, 2}, 4, 3),
      row<nn::LayerNorm>("LayerNorm", {3, 7}, Shape{7}),
      row<nn::GroupNorm>("GroupNorm", {2, 6, 5}, 3, 6),
      row<nn::RMSNorm>("RMSNorm", {3, 7}, 7),
      row<nn::MaxPool2d>("MaxPool2d", {2, 3, 6, 6}, Pair(2)),
      row<nn::AvgPool2d>("AvgPool2d", {2, 3, 6, 6}, Pair(3)),
      row<nn::GELU>("GELU", {4, 3}),
      row<nn::SiLU>("SiLU", {4, 3}),
      recurrent_row<nn::RNN>("RNN"),
      recurrent_row<nn::GRU>("GRU"),
      recurrent_row<nn::LSTM>("LSTM"),
      {"MultiheadAttention",
       [] { return std::make_shared<nn::MultiheadAttention>(8, 2); },
       [](const nn::Module& m, const std::vector<Tensor>& x) {
         return static_cast<const nn::MultiheadAttention&>(m)(x[0], {.is_causal = true}).output;
       },
       {{2, 5, 8}}},
      {"TransformerEncoderLayer",
       [=] { return std::make_shared<nn::TransformerEncoderLayer>(small); },
       [](const nn::Module& m, const std::vector<Tensor>& x) {
         return static_cast<const nn::TransformerEncoderLayer&>(m)(x[0]);
       },
       {{2, 5, 8}}},
      {"TransformerDecoderLayer",
       [=] { return std::make_shared<nn::TransformerDecoderLayer>(small); },
       [](const nn::Module& m, const std::vector<Tensor>& x) {
         return static_cast<const nn::TransformerDecoderLayer&>(m)(x[0], x[1], {.is_causal = true}, {});
       },
       {{2, 3, 8}, {2, 5, 8}}},
  };
}

class CudaModules : public testing::OnDevice, public ::testing::WithParamInterface<Row> {
 protected:
  Module made_on(Device device) const {
    manual_seed(9);
    Module m = GetParam().make();
    m->to(float64);
    m->to(device);
    return m;
  }
  std::vector<Tensor> inputs() const {
    manual_seed(10);
    std::vector<Tensor> x;
    for (const Shape& shape : GetParam().inputs) x.push_back(randn(shape, {.dtype = float64}).requires_grad_());
    return x;
  }
  // The output for inputs on the host.
  Tensor run(const Module& m, const std::vector<Tensor>& x) const {
    std::vector<Tensor> there;
    for (const Tensor& each : x) there.push_back(each.to(m->device()));
    return GetParam().run(*m, there).to(Device::cpu);
  }
};

TEST_P(CudaModules, ComputeWhatTheReferenceDoes) {
  std::vector<Tensor> results[2];
  for (const Device device : {Device::cpu, Device::cuda}) {
    const Module m = made_on(device);
    const std::vector<Tensor> x = inputs();
    const Tensor y = run(m, x);
    manual_seed(11);
    (y * randn(y.shape(), {.dtype = float64})).sum().backward();
    std::vector<Tensor>& all = results[int(device)];
    all.push_back(y.detach());
    for (const Tensor& each : x) all.push_back(each.grad());
    for (const Tensor& p : m->parameters()) all.push_back(p.grad());
  }
  ASSERT_EQ(results[0].size(), results[1].size());
  for (size_t i = 0; i < results[0].size(); ++i)
    EXPECT_EQ(difference(results[1][i], results[0][i], 1e-12, 1e-12), "") << i;
}

TEST_P(CudaModules, HaveTheGradientsOfDifferences) {
  const Module m = made_on(Device::cuda);
  if (!m->named_buffers().empty()) m->eval();  // statistics would change at each call
  gradcheck([&](const std::vector<Tensor>& x) { return run(m, x); }, inputs());
}

INSTANTIATE_TEST_SUITE_P(Every, CudaModules, ::testing::ValuesIn(rows()),
                         [](const auto& of) { return std::string(of.param.name); });

}  // namespace
}  // namespace gradus
