// Memory, copies and waiting on the device: see runtime.h. One stream, one allocator with a pool for each captured
// graph, a ring of pinned buffers that copies to the device go through, and a page that kernels report faults on.
#include "tensor/kernels/cuda/runtime.h"

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <list>
#include <memory>
#include <mutex>

#include "tensor/error.h"
#include "tensor/kernels/cuda/kernels.h"
#include "tensor/segments.h"

namespace gradus::cuda {
namespace {

void check_call(cudaError_t status, const char* what) {
  if (status == cudaSuccess) [[likely]]
    return;
  cudaGetLastError();  // forgotten, unless it is of the kind that stays
  fail({"cuda: ", what, ": ", cudaGetErrorString(status)});
}

// Device memory. Freed blocks are kept; nothing goes back to the driver but by release_cached_memory.
struct DeviceMemory {
  static constexpr size_t step = size_t(2) << 20;
  static size_t segment_bytes(size_t) { return size_t(64) << 20; }
  static inline int64_t held = 0;
  static char* get(size_t size) {
    void* segment = nullptr;
    if (cudaMalloc(&segment, size) != cudaSuccess) {
      cudaGetLastError();
      return nullptr;
    }
    held += int64_t(size);
    return static_cast<char*>(segment);
  }
  static void put(char* segment, size_t size, size_t) {
    cudaFree(segment);
    held -= int64_t(size);
  }
  static void touched(char*, char*) {}
};
using Pool = Segments<DeviceMemory>;

// What a graph's kernels write to at every replay: nothing else gets it, free or not, until the graph is gone.
struct GraphPool {
  Pool pool;
  bool retired = false;
};

// GRADUS_CUDA_CACHE=off: every block is the driver's own, so that memcheck sees an access beyond it. Slow.
bool caches() {
  static const bool on = [] {
    const char* asked = std::getenv("GRADUS_CUDA_CACHE");
    return !asked || std::strcmp(asked, "off") != 0;
  }();
  return on;
}

constexpr size_t granule = 512;  // what blocks are multiples of
size_t block_bytes(size_t bytes) { return (std::max<size_t>(bytes, 1) + granule - 1) / granule * granule; }

struct Staging {  // a pinned buffer, and when the device has read it
  static constexpr size_t bytes = size_t(4) << 20;
  void* data = nullptr;
  cudaEvent_t read = nullptr;
};

// Never destroyed: tensors held by static objects may outlive any static of ours.
struct Device {
  std::recursive_mutex mutex;
  std::string name, absence;  // what it is, or why there is none
  DeviceLimits limits{};
  cudaStream_t stream = nullptr;
  Fault* fault = nullptr;
  Staging staging[2];
  int next_staging = 0;
  Pool common;
  std::list<GraphPool> graph_pools;
  Pool* pool = &common;  // the one that serves now
  bool capturing = false;
  int64_t live = 0, peak = 0, blocks = 0, allocations = 0;

  Device() {
    try {
      open();
    } catch (const Error& error) {
      absence = error.what();
    }
  }

 private:
  void open() {
    int count = 0;
    check_call(cudaGetDeviceCount(&count), "looking for a device");
    check(count > 0, "no device was found");
    cudaDeviceProp properties{};
    check_call(cudaGetDeviceProperties(&properties, 0), "reading the device's properties");
    name = properties.name;
    limits = {properties.multiProcessorCount, properties.major, properties.sharedMemPerBlockOptin};
    check_call(cudaSetDevice(0), "choosing the device");
    check_call(cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking), "making the stream");
    void* page = nullptr;
    check_call(cudaHostAlloc(&page, sizeof(Fault), cudaHostAllocMapped), "making room for faults");
    fault = new (page) Fault{};
    for (Staging& buffer : staging) {
      check_call(cudaHostAlloc(&buffer.data, Staging::bytes, cudaHostAllocDefault), "making a pinned buffer");
      check_call(cudaEventCreateWithFlags(&buffer.read, cudaEventDisableTiming), "making an event");
    }
  }
};

Device& state() {
  static Device* device = new Device;
  return *device;
}

Device& device() {
  Device& d = state();
  check(d.absence.empty(), "device cuda is not available: ", d.absence);
  return d;
}

}  // namespace

bool available() { return state().absence.empty(); }

std::string description() {
  const Device& d = state();
  return d.absence.empty() ? d.name : "none: " + d.absence;
}

cudaStream_t stream() { return device().stream; }

const DeviceLimits& device_limits() { return device().limits; }

// --- memory --------------------------------------------------------------------------------------------------------

static char* take(Device& d, size_t bytes) {
  if (bytes > size_t(1) << 47) return nullptr;
  if (!caches() && !d.capturing) return DeviceMemory::get(std::max<size_t>(bytes, 1));
  char* block = d.pool->take(block_bytes(bytes));
#if SIMT_EMULATED
  if (block && !d.capturing) emu::device_memory().lend(block, bytes);  // so that an access beyond it is seen
#endif
  return block;
}

void* allocate(size_t bytes) {
  Device& d = device();
  std::lock_guard lock(d.mutex);
  char* block = take(d, bytes);
  if (!block) {
    release_cached_memory();
    block = take(d, bytes);
  }
  if (!block) {
    size_t free = 0, total = 0;
    cudaMemGetInfo(&free, &total);
    fail({"out of memory on cuda: ", bytes, " bytes were asked for, ", d.live, " are in use, ",
          DeviceMemory::held - d.live, " are kept for reuse, ", free, " of ", total, " are free"});
  }
  d.live += int64_t(block_bytes(bytes));
  d.peak = std::max(d.peak, d.live);
  ++d.blocks, ++d.allocations;
  return block;
}

void deallocate(void* block, size_t bytes) noexcept {
  if (!block) return;
  Device& d = state();
  std::lock_guard lock(d.mutex);
  d.live -= int64_t(block_bytes(bytes));
  --d.blocks;
  char* const begin = static_cast<char*>(block);
  if (d.common.owns(begin)) {
#if SIMT_EMULATED
    emu::device_memory().take_back(begin, bytes);
#endif
    return d.common.give(begin, block_bytes(bytes));
  }
  for (GraphPool& graph : d.graph_pools)
    if (graph.pool.owns(begin)) return graph.pool.give(begin, block_bytes(bytes));
  DeviceMemory::put(begin, std::max<size_t>(bytes, 1), 0);
}

MemoryStats memory_stats() {
  Device& d = device();
  std::lock_guard lock(d.mutex);
  return {d.live, d.peak, DeviceMemory::held - d.live, d.blocks, d.allocations};
}

void release_cached_memory() {
  Device& d = device();
  std::lock_guard lock(d.mutex);
  d.common.release();
  for (GraphPool& graph : d.graph_pools)
    if (graph.retired) graph.pool.release();
  d.graph_pools.remove_if([](const GraphPool& graph) { return graph.retired && graph.pool.empty(); });
}

// --- copies and waiting --------------------------------------------------------------------------------------------

static void check_not_capturing(const Device& d, const char* what) {
  check(!d.capturing, "cuda: ", what, " while a graph is captured: its replays would not do it");
}

void copy_to_device(void* to, const void* from, size_t bytes) {
  Device& d = device();
  std::lock_guard lock(d.mutex);
  check_not_capturing(d, "copying to the device");
  for (size_t done = 0; done < bytes;) {
    Staging& buffer = d.staging[d.next_staging];
    d.next_staging ^= 1;
    const size_t part = std::min(bytes - done, Staging::bytes);
    check_call(cudaEventSynchronize(buffer.read), "waiting for a pinned buffer");
    std::memcpy(buffer.data, static_cast<const char*>(from) + done, part);
    check_call(cudaMemcpyAsync(static_cast<char*>(to) + done, buffer.data, part, cudaMemcpyHostToDevice, d.stream),
               "copying to the device");
    check_call(cudaEventRecord(buffer.read, d.stream), "recording an event");
    done += part;
  }
}

void copy_to_host(void* to, const void* from, size_t bytes) {
  check_not_capturing(device(), "copying to the host");
  if (bytes) check_call(cudaMemcpyAsync(to, from, bytes, cudaMemcpyDeviceToHost, stream()), "copying to the host");
  synchronize();
}

void copy_on_device(void* to, const void* from, size_t bytes) {
  if (bytes)
    check_call(cudaMemcpyAsync(to, from, bytes, cudaMemcpyDeviceToDevice, stream()), "copying on the device");
}

void synchronize() {
  Device& d = device();
  std::lock_guard lock(d.mutex);
  check_not_capturing(d, "waiting");
  check_call(cudaStreamSynchronize(d.stream), "waiting for the kernels so far");
  if (!d.fault->set) return;
  const Fault fault = *d.fault;
  *d.fault = {};
  fail({fault.op, ": index ", fault.index, " is out of range for ", fault.limit});
}

IndexGuard index_guard(const char* op, int64_t limit) { return {device().fault, op, limit}; }

#if SIMT_EMULATED
static void check_emulator() {
  const std::string report = emu::take_report();
  check(report.empty(), "cuda: ", report);
}
#endif

void check_launch(const void* kernel, dim3 grid, dim3 block, size_t shared_bytes) {
  const cudaError_t status = cudaGetLastError();
#if SIMT_EMULATED
  (void)kernel;
  check_emulator();
  const char* name = "a kernel";
#else
  const char* name = nullptr;
  if (status != cudaSuccess && cudaFuncGetName(&name, kernel) != cudaSuccess) name = "a kernel";
#endif
  check(status == cudaSuccess, "cuda: launching ", name, " with ", grid.x, " x ", grid.y, " x ", grid.z,
        " blocks of ", block.x, " x ", block.y, " x ", block.z, " threads and ", shared_bytes,
        " bytes of shared memory: ", cudaGetErrorString(status));
}

// --- graphs --------------------------------------------------------------------------------------------------------

struct Graph::State {
  cudaGraphExec_t executable = nullptr;
  GraphPool* pool;
};

Graph::Graph(const std::function<void()>& work) : state_(std::make_unique<State>()) {
  Device& d = device();
  std::lock_guard lock(d.mutex);
  check_not_capturing(d, "capturing a graph");
  cudaGraph_t graph = nullptr;
  const auto end = [&] {
    const cudaError_t status = cudaStreamEndCapture(d.stream, &graph);
    d.capturing = false;
    d.pool = &d.common;
    return status;
  };
  check_call(cudaStreamBeginCapture(d.stream, cudaStreamCaptureModeRelaxed), "beginning to capture a graph");
  state_->pool = &d.graph_pools.emplace_back();
  d.pool = &state_->pool->pool;
  d.capturing = true;
  try {
    work();
  } catch (...) {
    if (end() == cudaSuccess) cudaGraphDestroy(graph);
    cudaGetLastError();
    state_->pool->retired = true;
    throw;
  }
  check_call(end(), "capturing a graph");
  const cudaError_t status = cudaGraphInstantiate(&state_->executable, graph, 0);
  cudaGraphDestroy(graph);
  check_call(status, "making a graph ready to run");
}

Graph::~Graph() {
  Device& d = state();
  std::lock_guard lock(d.mutex);
  cudaStreamSynchronize(d.stream);
  cudaGraphExecDestroy(state_->executable);
  state_->pool->retired = true;
}

void Graph::replay() {
  check_call(cudaGraphLaunch(state_->executable, stream()), "running a graph");
#if SIMT_EMULATED
  check_emulator();
#endif
}

}  // namespace gradus::cuda
