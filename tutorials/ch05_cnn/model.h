// The network of this chapter, and how it is trained and examined: what its programs share.
#pragma once

#include "data/idx.h"
#include "data/loader.h"
#include "data/metrics.h"
#include "data/transforms.h"
#include "examples/made_up/digits.h"
#include "nn/activation.h"
#include "nn/container.h"
#include "nn/conv.h"
#include "nn/linear.h"
#include "nn/norm.h"
#include "nn/pool.h"
#include "optim/adam.h"

namespace ch05 {

using namespace gradus;

inline constexpr int64_t classes = 10;

//! [model]
// Grey pictures (batch, 1, 28, 28) to scores (batch, 10).
inline nn::Sequential make_cnn() {
  return nn::Sequential{
      nn::Conv2d(1, 8, 5, {.padding = 2, .bias = false}),  // (batch, 8, 28, 28)
      nn::BatchNorm2d(8),
      nn::ReLU(),
      nn::MaxPool2d(2),                                     // (batch, 8, 14, 14)
      nn::Conv2d(8, 16, 3, {.padding = 1, .bias = false}),  // (batch, 16, 14, 14)
      nn::BatchNorm2d(16),
      nn::ReLU(),
      nn::MaxPool2d(2),  // (batch, 16, 7, 7)
      nn::Flatten(),     // (batch, 784)
      nn::Linear(16 * 7 * 7, classes),
  };
}
//! [model]

// Pictures with pixels from 0 to 1, standardised by the statistics of those that are trained on.
struct Pictures {
  data::Transform standardise;
  explicit Pictures(const data::ImageSet& train) {
    const data::ChannelStatistics statistics = data::channel_statistics(*train);
    standardise = data::normalize(statistics.mean, statistics.std);
  }
  data::DataLoader<data::ImageBatch> shuffled(const data::ImageSet& set, uint64_t seed) const {
    return data::image_loader(set, {.batch_size = 64, .shuffle = true, .seed = seed}, {standardise});
  }
  data::DataLoader<data::ImageBatch> in_order(const data::ImageSet& set, int64_t batch = 256) const {
    return data::image_loader(set, {.batch_size = batch}, {standardise});
  }
};

//! [epoch]
// Shows the model every picture once. Returns the mean loss of the batches.
inline double train_epoch(nn::Sequential& model, optim::Optimizer& optimizer,
                          data::DataLoader<data::ImageBatch>& loader) {
  model.train();  // batch normalisation goes by the batch
  double sum = 0;
  for (auto& [images, labels] : loader) {  // (64, 1, 28, 28) and (64)
    const Tensor loss = cross_entropy(model(images), labels);
    optimizer.zero_grad();
    loss.backward();
    optimizer.step();
    sum += loss.item();
  }
  return sum / double(loader.batches());
}

// What the model takes each picture for.
inline data::ConfusionMatrix examine(nn::Sequential& model, data::DataLoader<data::ImageBatch>& loader) {
  const NoGrad guard;  // nothing is recorded
  model.eval();        // batch normalisation goes by what it has seen in training
  data::ConfusionMatrix matrix(classes);
  for (auto& [images, labels] : loader) matrix.add(model(images), labels);
  return matrix;
}
//! [epoch]

}  // namespace ch05
