// Mini-batches in a fixed order, made ahead of time in background threads.
//
// The order is a function of (seed, epoch), and the randomness of sample i one of (seed, epoch, i): the
// number of workers changes when a batch is made, never what is in it.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "data/dataset.h"
#include "tensor/random.h"

namespace gradus::data {

struct LoaderOptions {
  int64_t batch_size = 64;
  bool shuffle = false;    // a new order in each epoch
  bool drop_last = false;  // leave out a last batch that is not full
  int64_t workers = 0;     // background threads; with 0 each batch is made when it is asked for
  int64_t prefetch = 2;    // batches made ahead, for each worker
  uint64_t seed = 0;
};

// Where a loader stands: all it takes to go on from exactly there.
struct LoaderState {
  int64_t epoch = 0;
  int64_t batch = 0;  // batches of this epoch already handed out
};

// A generator of its own for one sample in one epoch.
Generator sample_generator(uint64_t seed, int64_t epoch, int64_t sample);

// What a loader is apart from the type of its batches.
class LoaderBase {
 public:
  int64_t size() const;     // samples
  int64_t batches() const;  // in an epoch
  const LoaderOptions& options() const;
  LoaderState state() const;
  // Goes to `state`; what was made ahead is dropped. Throws Error for a batch outside [0, batches()].
  void restore(LoaderState state);

 protected:
  using Made = std::shared_ptr<void>;
  using Make = std::function<Made(std::span<const int64_t> samples, int64_t epoch)>;
  LoaderBase(int64_t size, const LoaderOptions& options, Make make);  // throws Error on impossible options
  LoaderBase(LoaderBase&&) noexcept;
  LoaderBase& operator=(LoaderBase&&) noexcept;
  ~LoaderBase();  // stops the workers, whatever they are at
  Made next_made();

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

//   for (int epoch = 0; epoch < 5; ++epoch)
//     for (auto& [images, labels] : loader) ...
//
// A loop runs to the end of the epoch; after leaving one early, the next goes on behind the last batch seen.
template <class Batch>
class DataLoader : public LoaderBase {
 public:
  // `make` builds the batch of the samples listed; with several workers it runs in several threads at once.
  // What it throws arrives at the batch's place in the loop.
  DataLoader(int64_t size, const LoaderOptions& options,
             std::function<Batch(std::span<const int64_t> samples, int64_t epoch)> make)
      : LoaderBase(size, options, [make](std::span<const int64_t> samples, int64_t epoch) {
          return std::make_shared<Batch>(make(samples, epoch));
        }) {}

  // The next batch, or none at the end of the epoch (the call after that begins the next).
  std::optional<Batch> next() {
    Made made = next_made();
    if (!made) return {};
    return std::move(*static_cast<Batch*>(made.get()));
  }

  class Iterator {
   public:
    explicit Iterator(DataLoader* loader) : loader_(loader), batch_(loader->next()) {}
    Batch& operator*() { return *batch_; }
    Iterator& operator++() {
      batch_.reset();  // its memory serves the next one
      batch_ = loader_->next();
      return *this;
    }
    bool operator!=(std::nullptr_t) const { return batch_.has_value(); }

   private:
    DataLoader* loader_;
    std::optional<Batch> batch_;
  };
  Iterator begin() { return Iterator(this); }
  std::nullptr_t end() { return nullptr; }
};

struct ImageBatch {
  Tensor images;  // (batch, channels, height, width), float32
  Tensor labels;  // (batch), int64
};

// Changes one image (channels, height, width), float32 and contiguous, in place (data/transforms.h).
using Transform = std::function<void(Tensor& image, Generator& random)>;

// Pixels from 0 to 1, then the transforms in turn.
DataLoader<ImageBatch> image_loader(ImageSet set, const LoaderOptions& options,
                                    std::vector<Transform> transforms = {});

}  // namespace gradus::data
