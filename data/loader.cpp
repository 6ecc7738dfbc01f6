#include "data/loader.h"

#include <array>
#include <condition_variable>
#include <exception>
#include <mutex>
#include <thread>

namespace gradus::data {

namespace {

uint64_t mix(uint64_t seed, uint64_t n) {
  const PhiloxBlock block = philox({seed, 0}, n);
  return uint64_t(block.v[0]) << 32 | block.v[1];
}

}  // namespace

Generator sample_generator(uint64_t seed, int64_t epoch, int64_t sample) {
  return Generator(mix(mix(seed, uint64_t(epoch)), uint64_t(sample)));
}

struct LoaderBase::Impl {
  struct Slot {
    Made made;
    std::exception_ptr error;
    bool done = false;
  };

  Impl(int64_t count, const LoaderOptions& o, Make m) : size(count), options(o), make(std::move(m)) {}
  ~Impl() { stop(); }

  int64_t batches() const {
    return options.drop_last ? size / options.batch_size : (size + options.batch_size - 1) / options.batch_size;
  }

  void prepare_order() {
    if (ordered_epoch == state.epoch) return;
    if (options.shuffle) {
      Generator random = sample_generator(options.seed, state.epoch, -1);
      order = randperm(size, &random).to_vector<int64_t>();
    } else {
      order = arange(size).to_vector<int64_t>();
    }
    ordered_epoch = state.epoch;
  }

  Made make_batch(int64_t batch) const {
    const int64_t first = batch * options.batch_size, last = std::min(first + options.batch_size, size);
    return make(std::span(order).subspan(size_t(first), size_t(last - first)), ordered_epoch);
  }

  void start() {
    claimed = state.batch;
    stopping = false;
    slots.assign(size_t(options.workers * options.prefetch), {});
    for (int64_t i = 0; i < std::min(options.workers, batches() - state.batch); ++i) {
      threads.emplace_back([this] { work(); });
    }
  }

  void stop() {
    {
      std::lock_guard lock(mutex);
      stopping = true;
    }
    room.notify_all();
    for (std::thread& t : threads) t.join();
    threads.clear();
    slots.clear();
  }

  // Workers claim batches in order. A slot is free again once the loop has taken its batch, so nobody runs
  // further ahead than there are slots.
  void work() {
    std::unique_lock lock(mutex);
    for (;;) {
      room.wait(lock,
                [&] { return stopping || claimed == batches() || claimed < state.batch + int64_t(slots.size()); });
      if (stopping || claimed == batches()) return;
      const int64_t batch = claimed++;
      Slot slot;
      lock.unlock();
      try {
        slot.made = make_batch(batch);
      } catch (...) {
        slot.error = std::current_exception();
      }
      slot.done = true;
      lock.lock();
      slots[size_t(batch) % slots.size()] = std::move(slot);
      ready.notify_one();
    }
  }

  Made take() {
    if (threads.empty()) start();
    Slot slot;
    {
      std::unique_lock lock(mutex);
      Slot& place = slots[size_t(state.batch) % slots.size()];
      ready.wait(lock, [&] { return place.done; });
      slot = std::exchange(place, {});
      ++state.batch;
    }
    room.notify_all();
    if (slot.error) std::rethrow_exception(slot.error);
    return slot.made;
  }

  const int64_t size;
  const LoaderOptions options;
  const Make make;
  std::vector<int64_t> order;  // of ordered_epoch; not changed while workers run
  int64_t ordered_epoch = -1;

  std::mutex mutex;  // guards what follows
  std::condition_variable room, ready;
  LoaderState state;  // changed by the consumer alone
  std::vector<Slot> slots;
  int64_t claimed = 0;  // batches begun
  bool stopping = false;
  std::vector<std::thread> threads;  // the consumer's
};

LoaderBase::LoaderBase(int64_t size, const LoaderOptions& options, Make make) {
  check(size >= 0, "DataLoader: ", size, " samples");
  check(options.batch_size >= 1, "DataLoader: batch_size ", options.batch_size, ", expected at least 1");
  check(options.workers >= 0 && options.workers <= 256, "DataLoader: workers ", options.workers,
        ", expected 0 to 256");
  check(options.prefetch >= 1 && options.prefetch <= 1024, "DataLoader: prefetch ", options.prefetch,
        ", expected 1 to 1024");
  impl_ = std::make_unique<Impl>(size, options, std::move(make));
}
LoaderBase::LoaderBase(LoaderBase&&) noexcept = default;
LoaderBase& LoaderBase::operator=(LoaderBase&&) noexcept = default;
LoaderBase::~LoaderBase() = default;

int64_t LoaderBase::size() const { return impl_->size; }
int64_t LoaderBase::batches() const { return impl_->batches(); }
const LoaderOptions& LoaderBase::options() const { return impl_->options; }
LoaderState LoaderBase::state() const { return impl_->state; }

void LoaderBase::restore(LoaderState state) {
  check(state.epoch >= 0 && state.batch >= 0 && state.batch <= batches(), "DataLoader: batch ", state.batch,
        " of epoch ", state.epoch, ", expected 0 to ", batches());
  impl_->stop();
  impl_->state = state;
}

LoaderBase::Made LoaderBase::next_made() {
  Impl& loader = *impl_;
  if (loader.state.batch == batches()) {
    loader.stop();
    loader.state = {loader.state.epoch + 1, 0};
    return nullptr;
  }
  loader.prepare_order();
  if (loader.options.workers > 0) return loader.take();
  return loader.make_batch(loader.state.batch++);
}

DataLoader<ImageBatch> image_loader(ImageSet set, const LoaderOptions& options, std::vector<Transform> transforms) {
  std::array<float, 256> scaled;
  for (int i = 0; i < 256; ++i) scaled[size_t(i)] = float(i) / 255;
  const uint64_t seed = options.seed;
  auto make = [set, scaled, seed, transforms = std::move(transforms)](std::span<const int64_t> samples,
                                                                      int64_t epoch) {
    const Shape shape = set->image_shape();
    const int64_t n = int64_t(samples.size()), pixels = numel(shape);
    ImageBatch batch = {empty({n, shape[0], shape[1], shape[2]}), empty({n}, {.dtype = int64})};
    for (int64_t i = 0; i < n; ++i) {
      const Sample sample = set->get(samples[size_t(i)]);
      check(sample.image.shape() == shape, "image_loader: image ", samples[size_t(i)], " has shape ",
            sample.image.shape(), ", expected ", shape);
      Tensor image = batch.images[i];
      const uint8_t* in = sample.image.data<uint8_t>();
      float* out = image.data<float>();
      for (int64_t k = 0; k < pixels; ++k) out[k] = scaled[in[k]];
      Generator random = sample_generator(seed, epoch, samples[size_t(i)]);
      for (const Transform& transform : transforms) transform(image, random);
      batch.labels.data<int64_t>()[i] = sample.label;
    }
    return batch;
  };
  const int64_t size = set->size();
  return DataLoader<ImageBatch>(size, options, std::move(make));
}

}  // namespace gradus::data
