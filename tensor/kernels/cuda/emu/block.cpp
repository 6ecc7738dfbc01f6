// The threads of a block take turns: who runs, who waits for what, and what happens when all have come.
#include "tensor/kernels/cuda/emu/block.h"

#include <sys/mman.h>

#include <algorithm>
#include <bit>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <new>

#include "tensor/kernels/cuda/emu/sanitizer.h"

constinit thread_local uint3 threadIdx{};
constinit thread_local uint3 blockIdx{};
constinit thread_local dim3 blockDim;
constinit thread_local dim3 gridDim;

namespace emu {

constinit thread_local unsigned lane = 0;
constinit thread_local unsigned char* dynamic_shared = nullptr;
constinit thread_local Block* block = nullptr;

namespace {

constexpr size_t shared_mapping = 512 << 10, gap = 128;
constexpr unsigned max_spins = 1u << 22;

std::string text_of(Where where) {
  const std::string path = where.file;
  return path.substr(path.find_last_of('/') + 1) + ":" + std::to_string(where.line);
}
std::string text_of(uint3 index) {
  return "(" + std::to_string(index.x) + ", " + std::to_string(index.y) + ", " + std::to_string(index.z) + ")";
}
// An address that a call returns to is behind the call.
std::string line_before(const void* address) { return symbol_of(static_cast<const char*>(address) - 1).line; }

}  // namespace

std::string hexadecimal(unsigned mask) {
  char text[16];
  std::snprintf(text, sizeof text, "0x%08x", mask);
  return text;
}

Block::Block() {
  void* memory = mmap(nullptr, shared_mapping, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) throw std::bad_alloc();
  shared_ = static_cast<unsigned char*>(memory);
}

Block::~Block() { munmap(shared_, shared_mapping); }

bool Block::run(const Grid& grid, unsigned index, uint32_t launch_begin, uint32_t id) {
  grid_ = &grid;
  const dim3 extent = grid.threads;
  blockIdx = {index % grid.blocks.x, index / grid.blocks.x % grid.blocks.y, index / grid.blocks.x / grid.blocks.y};
  blockDim = extent;
  gridDim = grid.blocks;
  count_ = alive_ = extent.x * extent.y * extent.z;
  arrived_ = spins_ = 0;
  yes_ = 0;
  abandoned_ = false;
  barrier_where_ = {};
  order_ = options().order;
  random_ = options().seed * 0x9e3779b97f4a7c15u + index * 2 + 1;
  position_ = {launch_begin, id, 1, 0, 1};

  sanitizer::unpoison(shared_, shared_mapping);
  // NaN wherever nothing was written. The end is where it was asked for, so that checkers see the first byte behind.
  dynamic_ = dynamic_shared = shared_;
  std::memset(dynamic_, 0xff, grid.shared_bytes);
  arrays_.clear();
  arrays_end_ = (grid.shared_bytes + 2 * gap - 1) / gap * gap;
  static_bytes_ = 0;
  sanitizer::poison(shared_ + grid.shared_bytes, shared_mapping - grid.shared_bytes);
  check::begin_block(shared_, shared_mapping, grid.shared_bytes);

  uint3 place{};
  for (unsigned i = 0; i < count_; ++i) {
    Thread& thread = threads_[i];
    thread.index = place;
    thread.lane = i % warp_lanes;
    thread.warp = i / warp_lanes;
    thread.state = State::fresh;
    thread.warp_epoch = 1;
    thread.groups = 0;
    ready_[i] = uint16_t(order_ == Order::reverse ? count_ - 1 - i : i);
    if (++place.x == extent.x) place.x = 0, ++place.y;
    if (place.y == extent.y) place.y = 0, ++place.z;
  }
  ready_begin_ = 0;
  ready_count_ = count_;
  for (unsigned warp = 0; warp * warp_lanes < count_; ++warp) {
    const unsigned lanes = std::min(warp_lanes, count_ - warp * warp_lanes);
    warps_[warp] = {lanes == warp_lanes ? ~0u : (1u << lanes) - 1, 0};
  }

  leave(main_, pop());
  check::pause();
  if (alive_ == 0) return true;
  if (!abandoned_) report_deadlock();
  for (unsigned i = 0; i < count_; ++i) threads_[i].copies.clear();
  idle_.clear();
  for (const auto& fiber : fibers_) {
    fiber->reset();
    idle_.push_back(fiber.get());
  }
  return false;
}

// What every fiber runs: one thread after another. A kernel that never waits never switches.
void Block::fiber_main() {
  for (;;) {
    Fiber& mine = *current_->fiber;
    grid_->call(grid_->closure);
    check::pause();
    thread_ends();
    Thread* next = pop();
    if (next != nullptr && next->state == State::fresh) {
      next->fiber = &mine;
      make_current(*next);
      continue;
    }
    idle_.push_back(&mine);
    leave(mine, next);  // comes back as another thread
  }
}

void Block::thread_ends() {
  Thread& thread = *current_;
  if (!thread.copies.empty()) {
    complain(line_before(thread.copies.front().instruction), "cp.async never waited for", "", thread);
    thread.copies.clear();
  }
  thread.state = State::done;
  --alive_;
  spins_ = 0;
  Warp& warp = warps_[thread.warp];
  warp.alive &= ~(1u << thread.lane);
  // Lanes that wait for this one would do so for ever.
  for (unsigned left = warp.waiting; left != 0;) {
    Thread& other = thread_of(thread.warp, unsigned(std::countr_zero(left)));
    const unsigned mask = other.mask;
    left &= ~mask & (left - 1);
    if ((mask >> thread.lane & 1) == 0) continue;
    complain_of_gone_lane(other, thread.lane);
    for (unsigned l = 0; l < warp_lanes; ++l)
      if (warp.waiting >> l & 1) thread_of(thread.warp, l).mask &= ~(1u << thread.lane);
    meet(thread.warp, other.mask);
  }
  if (arrived_ != 0 && arrived_ == alive_) release_barrier();
}

void Block::make_current(Thread& thread) {
  current_ = &thread;
  thread.state = State::ready;
  threadIdx = thread.index;
  lane = thread.lane;
  if (check::compiled_in) {
    position_.thread = uint16_t(&thread - threads_);
    position_.warp_epoch = thread.warp_epoch;
    check::resume(position_, thread.fiber->stack(), thread.fiber->stack_bytes());
  }
}

void Block::leave(Fiber& mine, Thread* next) {
  Fiber* to = &main_;
  if (next != nullptr) {
    if (next->state == State::fresh) {
      if (idle_.empty()) {
        fibers_.push_back(std::make_unique<Fiber>([](void* self) { static_cast<Block*>(self)->fiber_main(); }, this));
        idle_.push_back(fibers_.back().get());
      }
      next->fiber = idle_.back();
      idle_.pop_back();
    }
    to = next->fiber;
    make_current(*next);
  }
  if (to != &mine) mine.switch_to(*to);
}

void Block::wait() { leave(*current_->fiber, pop()); }

Block::Thread* Block::pop() {
  if (ready_count_ == 0) return nullptr;
  if (order_ == Order::random) {
    random_ ^= random_ << 13, random_ ^= random_ >> 7,
        random_ ^= random_ << 17;  // Marsaglia's xorshift
    std::swap(ready_[ready_begin_], ready_[(ready_begin_ + (random_ >> 20) % ready_count_) % max_threads]);
  }
  Thread* thread = &threads_[ready_[ready_begin_]];
  ready_begin_ = (ready_begin_ + 1) % max_threads;
  --ready_count_;
  return thread;
}
void Block::push_back(const Thread& thread) {
  ready_[(ready_begin_ + ready_count_++) % max_threads] = uint16_t(&thread - threads_);
}
void Block::push_front(const Thread& thread) {
  ready_begin_ = (ready_begin_ + max_threads - 1) % max_threads;
  ready_[ready_begin_] = uint16_t(&thread - threads_);
  ++ready_count_;
}

Votes Block::barrier(int predicate, const char* what, Where where) {
  Thread& thread = *current_;
  check::pause();
  check_barrier(what, where);
  thread.state = State::at_barrier;
  thread.what = what;
  thread.where = where;
  yes_ += predicate != 0;
  if (++arrived_ == alive_ && release_barrier())
    make_current(thread);
  else
    wait();
  return votes_;
}

void Block::check_barrier(const char* what, Where where) {
  if (arrived_ == 0) barrier_where_ = where;
  if (barrier_where_.line != where.line || std::strcmp(barrier_where_.file, where.file) != 0)
    complain(text_of(where), "divergent barriers",
             ": this " + std::string(what) + ", but other threads of the block wait at " + text_of(barrier_where_),
             *current_);
}

// Whether the running thread goes straight on, as the last to arrive does in forward order, rather than queue up.
bool Block::release_barrier() {
  votes_ = {yes_, int(arrived_)};
  arrived_ = spins_ = 0;
  yes_ = 0;
  ++position_.barrier_epoch;
  const bool goes_on = order_ == Order::forward && current_->state == State::at_barrier;
  for (unsigned i = 0; i < count_; ++i) {
    Thread& thread = threads_[order_ == Order::reverse ? count_ - 1 - i : i];
    if (thread.state != State::at_barrier || (goes_on && &thread == current_)) continue;
    thread.state = State::ready;
    push_back(thread);
  }
  return goes_on;
}

void Block::collective(unsigned mask, WarpFunction* operation, void* post, const char* what, Where where,
                       bool orders_memory) {
  Thread& thread = *current_;
  Warp& warp = warps_[thread.warp];
  check::pause();
  const unsigned first = thread.warp * warp_lanes;
  if (count_ - first < warp_lanes) mask &= (1u << (count_ - first)) - 1;  // a mask may name lanes that never were
  if ((mask >> thread.lane & 1) == 0) {
    complain(text_of(where), std::string(what) + " without its own lane in the mask",
             ": lane " + std::to_string(thread.lane) + ", mask " + hexadecimal(mask), thread);
    mask |= 1u << thread.lane;
  }
  thread.state = State::at_warp;
  thread.what = what;
  thread.where = where;
  thread.operation = operation;
  thread.post = post;
  thread.orders_memory = orders_memory;
  if (const unsigned gone = mask & ~warp.alive) complain_of_gone_lane(thread, unsigned(std::countr_zero(gone)));
  thread.mask = mask &= warp.alive;
  warp.waiting |= 1u << thread.lane;
  if (meet(thread.warp, mask))
    make_current(thread);
  else
    wait();
}

// Runs the operation if all lanes of the mask are there. Whether the running thread goes straight on.
bool Block::meet(unsigned warp_index, unsigned mask) {
  Warp& warp = warps_[warp_index];
  if ((warp.waiting & mask) != mask || mask == 0) return false;
  const Thread& first = thread_of(warp_index, unsigned(std::countr_zero(mask)));
  void* posts[warp_lanes] = {};
  uint16_t epoch = 0;
  for (unsigned left = mask; left != 0; left &= left - 1) {
    const unsigned l = unsigned(std::countr_zero(left));
    const Thread& thread = thread_of(warp_index, l);
    if (thread.operation != first.operation || thread.mask != mask) {
      complain(text_of(thread.where),
               std::string(thread.what) +
                   " meets another operation of a lane in its mask, which must take part in this one",
               ": mask " + hexadecimal(thread.mask) + ", lane " + std::to_string(first.lane) + " is in " +
                   first.what + " with mask " + hexadecimal(first.mask) + " at " + text_of(first.where),
               thread);
      abandon();
    }
    posts[l] = thread.post;
    epoch = std::max(epoch, thread.warp_epoch);
  }
  first.operation(mask, posts);
  warp.waiting &= ~mask;
  spins_ = 0;
  const bool goes_on = order_ == Order::forward && current_->state == State::at_warp;
  for (unsigned left = mask; left != 0;) {
    const unsigned l = unsigned(order_ == Order::reverse ? std::countr_zero(left) : 31 - std::countl_zero(left));
    left &= ~(1u << l);
    Thread& thread = thread_of(warp_index, l);
    if (thread.orders_memory) thread.warp_epoch = uint16_t(epoch + 1);
    thread.state = State::ready;
    if (!goes_on || &thread != current_) push_front(thread);
  }
  return goes_on;
}

void Block::abandon() {
  abandoned_ = true;
  Fiber& mine = *current_->fiber;
  mine.switch_to(main_);
  std::abort();  // nobody switches back to an abandoned fiber
}

void* Block::shared_array(const void* key, size_t bytes, const char* name) {
  for (const SharedArray& array : arrays_)
    if (array.key == key) return array.begin;
  check::pause();
  unsigned char* begin = shared_ + arrays_end_;
  static_bytes_ += bytes;
  arrays_end_ += (bytes + 2 * gap - 1) / gap * gap;
  if (static_bytes_ > max_static_shared_bytes) {
    report("more than " + std::to_string(max_static_shared_bytes) + " bytes of static shared memory",
           ": " + std::to_string(static_bytes_) + " with " + name);
    abandon();
  }
  sanitizer::unpoison(begin, bytes);
  std::memset(begin, 0xff, bytes);
  arrays_.push_back({key, begin});
  check::shared_array(begin, bytes, name);
  make_current(*current_);
  return begin;
}

void Block::yield() {
  check::pause();
  if (++spins_ > max_spins) {
    report_deadlock();
    abandon();
  }
  push_back(*current_);
  wait();
}

void Block::async_copy(const Copy& copy) {
  if (uintptr_t(copy.to) % copy.size != 0 || uintptr_t(copy.from) % copy.size != 0)
    complain(line_before(copy.instruction), "cp.async at a misaligned address", "", *current_);
  check::copy_begins(copy.to, copy.from, copy.size, copy.filled, copy.instruction);
  current_->copies.push_back(copy);
  current_->copies.back().group = current_->groups;
}

void Block::async_wait(unsigned pending) {
  std::vector<Copy>& copies = current_->copies;
  size_t kept = 0;
  for (const Copy& copy : copies) {
    if (copy.group + pending >= current_->groups) {
      copies[kept++] = copy;
      continue;
    }
    std::memcpy(copy.to, copy.from, copy.filled);
    std::memset(static_cast<char*>(copy.to) + copy.filled, 0, copy.size - copy.filled);
    check::copy_arrives(copy.to, copy.size, copy.instruction);
  }
  copies.resize(kept);
}

void Block::complain(const std::string& place, const std::string& what, const std::string& detail,
                     const Thread& thread) const {
  report(place + ": " + what, detail + ", block " + text_of(blockIdx) + " thread " + text_of(thread.index));
}
void Block::complain(const std::string& what, const std::string& detail, Where where) const {
  complain(text_of(where), what, detail, *current_);
}
void Block::complain_of_gone_lane(const Thread& thread, unsigned gone) const {
  complain(text_of(thread.where), std::string(thread.what) + " names in its mask a lane that has returned",
           ": lane " + std::to_string(gone), thread);
}

void Block::report_deadlock() const {
  std::string text = ": block " + text_of(blockIdx);
  std::string last;  // threads that wait for the same are named once
  for (unsigned i = 0; i < count_ && text.size() < 1000; ++i) {
    const Thread& thread = threads_[i];
    if (thread.state == State::done) continue;
    std::string state = " spins";
    if (thread.state == State::at_warp || thread.state == State::at_barrier)
      state = std::string(" waits in ") + thread.what + " at " + text_of(thread.where);
    if (thread.state == State::at_warp) state += " for the lanes " + hexadecimal(thread.mask);
    if (state != last) text += ", thread " + text_of(thread.index) + state;
    last = state;
  }
  report("deadlock",
         text + ", " + std::to_string(count_ - alive_) + " of " + std::to_string(count_) + " threads have returned");
}

}  // namespace emu
