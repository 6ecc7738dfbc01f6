// The Vision Transformer of this chapter, and how it is trained and examined: what its programs share.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "nn/attention.h"
#include "nn/init.h"
#include "nn/positions.h"
#include "optim/schedule.h"
#include "tutorials/ch05_cnn/model.h"

namespace ch14 {

using namespace gradus;
using ch05::classes, ch05::Pictures;

inline constexpr int64_t pixels = 28;  // along a side of a picture

// How a patch is told where it is; `along` are sinusoids along the row of all patches, `grid` of row and column.
enum class Places { none, along, grid, learned };

struct VitOptions {
  int64_t patch = 7, features = 24, layers = 2, heads = 4;
  int64_t inner = 24;  // features between the two linear layers
  Places places = Places::learned;
  bool class_token = true;                         // else the mean of all patches is classified
  int64_t side() const { return pixels / patch; }  // of the grid of patches
};

// Small random numbers, to be learned.
inline Tensor learned(const Shape& shape) { return nn::normal_(empty(shape, {.requires_grad = true}), 0, 0.02); }

// (patches, features).
inline Tensor vectors_of_places(const VitOptions& o) {
  const int64_t side = o.side();
  switch (o.places) {
    case Places::none: return zeros({side * side, o.features});
    case Places::along: return nn::sinusoidal_positions(side * side, o.features);
    case Places::grid: return nn::sinusoidal_positions_2d(side, side, o.features);
    default: return learned({side * side, o.features});
  }
}

//! [layer]
// Pre-norm: x + attention(norm(x)), then x + mlp(norm(x)). Where `seen` is given, attention's weights are added to it.
struct Layer : nn::Module {
  nn::LayerNorm norm1, norm2;
  nn::MultiheadAttention attention;
  nn::Linear linear1, linear2;
  explicit Layer(const VitOptions& o)
      : norm1(Shape{o.features}),
        norm2(Shape{o.features}),
        attention(o.features, o.heads),
        linear1(o.features, o.inner),
        linear2(o.inner, o.features) {}

  Tensor operator()(const Tensor& x, std::vector<Tensor>* seen) const {  // (batch, tokens, features)
    nn::Call call(*this);
    const Attended looked = attention(norm1(x), {.need_weights = seen != nullptr});
    if (seen) seen->push_back(looked.weights);  // (batch, heads, tokens, tokens)
    const Tensor y = x + looked.output;
    return call(y + linear2(gelu(linear1(norm2(y)))));
  }
  //! [layer]
  void visit(nn::Visitor& v) override {
    v("norm1", norm1);
    v("attention", attention);
    v("norm2", norm2);
    v("linear1", linear1);
    v("linear2", linear2);
  }
  const char* type() const override { return "Layer"; }
};

// Dosovitskiy et al. 2021, section 3.1, where the class token has a place's vector, too: the sum of two learned vectors
// is one.
struct Vit : nn::Module {
  VitOptions options;
  nn::PatchEmbedding embed;
  Tensor places;       // (patches, features)
  Tensor class_token;  // (features), or undefined
  nn::ModuleList<Layer> layers;
  nn::LayerNorm norm;
  nn::Linear head;

  explicit Vit(const VitOptions& o)
      : options(o),
        embed(1, o.features, o.patch),
        places(vectors_of_places(o)),
        class_token(o.class_token ? learned({o.features}) : Tensor()),
        layers(o.layers, [&](int64_t) { return Layer(o); }),
        norm(Shape{o.features}),
        head(o.features, classes) {}

  //! [forward]
  // (batch, 1, 28, 28) to (batch, patches, features): what each patch shows, plus where it is.
  Tensor words(const Tensor& images) const { return embed(images) + places; }

  // Any number of words, (batch, words, features), to scores (batch, 10).
  Tensor read(const Tensor& words, std::vector<Tensor>* seen = nullptr) const {
    Tensor x = words;
    if (options.class_token) x = cat({class_token.expand({x.size(0), 1, x.size(2)}), x}, 1);
    for (const Layer& layer : layers) x = layer(x, seen);
    x = norm(x);
    return head(options.class_token ? x.select(1, 0) : x.mean({1}));
  }

  Tensor operator()(const Tensor& images) const {
    nn::Call call(*this);
    return call(read(words(images)));
  }
  //! [forward]
  void visit(nn::Visitor& v) override {
    v("embed", embed);
    v("class_token", class_token);
    if (options.places == Places::learned) v("places", places);
    v("layers", layers);
    v("norm", norm);
    v("head", head);
  }
  const char* type() const override { return "Vit"; }
};

// Goes on for `steps` batches, the learning rate up to `lr` over a tenth of them and then down along a cosine. Calls
// after(epoch, mean loss of its batches) at the end of each epoch.
template <class Model, class After>
void train(Model& model, data::DataLoader<data::ImageBatch>& loader, int64_t steps, double lr, After after) {
  optim::AdamW optimizer(model.parameters(), {.lr = lr});
  optim::CosineLR schedule(optimizer, {.steps = steps, .warmup = steps / 10});
  int64_t step = 0;
  for (int epoch = 1; step < steps; ++epoch) {
    model.train();
    double sum = 0;
    int64_t batches = 0;
    for (auto& [images, labels] : loader) {
      const Tensor loss = cross_entropy(model(images), labels);
      optimizer.zero_grad();
      loss.backward();
      optimizer.step();
      schedule.step();
      sum += loss.item();
      ++batches;
      if (++step == steps) break;
    }
    after(epoch, sum / double(batches));
  }
}

template <class Model>
void train(Model& model, data::DataLoader<data::ImageBatch>& loader, int64_t steps, double lr) {
  train(model, loader, steps, lr, [](int, double) {});
}

// The share of pictures whose largest score is their class's. `change` is applied to the pictures first.
template <class Model, class Change>
double accuracy(Model& model, data::DataLoader<data::ImageBatch>& loader, Change change) {
  const NoGrad guard;
  model.eval();
  data::ConfusionMatrix matrix(classes);
  for (auto& [images, labels] : loader) matrix.add(model(change(images)), labels);
  return matrix.accuracy();
}

template <class Model>
double accuracy(Model& model, data::DataLoader<data::ImageBatch>& loader) {
  return accuracy(model, loader, [](const Tensor& images) { return images; });
}

}  // namespace ch14
