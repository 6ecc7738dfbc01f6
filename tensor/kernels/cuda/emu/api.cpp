// CUDA's runtime on the memory and the scheduler of the emulator.
#include "tensor/kernels/cuda/emu/api.h"

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstring>
#include <utility>
#include <vector>

#include "tensor/kernels/cuda/emu/memory.h"
#include "tensor/kernels/cuda/emu/scheduler.h"

namespace emu {

struct Graph {
  std::vector<std::function<void()>> work;
};
struct GraphExec {
  std::vector<std::function<void()>> work;
};
struct Stream {
  Graph* capture = nullptr;  // what is being recorded
  bool relaxed = false;
  bool invalid = false;  // something was asked for that a graph cannot hold
};
struct Event {
  std::chrono::steady_clock::time_point time;
  bool recorded = false;
};

namespace {

constexpr size_t shared_bytes_per_multiprocessor = 164 << 10;
thread_local cudaError_t last_error = cudaSuccess;
std::vector<Stream*> captures;  // streams that are being captured now
std::mutex captures_mutex;

cudaError_t result(cudaError_t error) {
  if (error != cudaSuccess) last_error = error;
  return error;
}
cudaError_t result(bool good, cudaError_t otherwise) { return result(good ? cudaSuccess : otherwise); }

// What a capture does not allow it refuses, and is spoilt by.
bool refused_by_capture(bool by_relaxed_ones_too = false) {
  std::lock_guard lock(captures_mutex);
  bool refused = false;
  for (Stream* stream : captures)
    if (by_relaxed_ones_too || !stream->relaxed) refused = stream->invalid = true;
  return refused;
}

// Keeps the work for the stream's graph, or does it.
template <class Work>
cudaError_t submit(Stream* stream, Work work) {
  if (capturing(stream))
    record(stream, work);
  else
    work();
  return cudaSuccess;
}

}  // namespace

void set_last_error(cudaError_t error) { last_error = error; }
bool capturing(const Stream* stream) { return stream != nullptr && stream->capture != nullptr; }
void record(Stream* stream, std::function<void()> work) { stream->capture->work.push_back(std::move(work)); }

cudaError_t set_function_attribute(cudaFuncAttribute attribute, int value) {
  const bool known = attribute == cudaFuncAttributeMaxDynamicSharedMemorySize;
  return result(known && value >= 0 && size_t(value) <= max_shared_bytes, cudaErrorInvalidValue);
}

cudaError_t max_active_blocks(int* blocks, int threads, size_t shared_bytes) {
  if (threads <= 0 || threads > 1024 || shared_bytes > max_shared_bytes) return result(cudaErrorInvalidValue);
  const size_t by_threads = size_t(2048 / threads),
               by_memory = shared_bytes_per_multiprocessor / (shared_bytes + 1024);
  *blocks = int(std::min({by_threads, by_memory, size_t(32)}));
  return cudaSuccess;
}

}  // namespace emu

using namespace emu;

// clang-format off
#define EMU_NAME(name, number, text) case name: return #name;
#define EMU_TEXT(name, number, text) case name: return text;
// clang-format on
const char* cudaGetErrorName(cudaError_t error) {
  switch (error) { EMU_ERRORS(EMU_NAME) }
  return "unrecognized error code";
}
const char* cudaGetErrorString(cudaError_t error) {
  switch (error) { EMU_ERRORS(EMU_TEXT) }
  return "unrecognized error code";
}
cudaError_t cudaGetLastError() { return std::exchange(last_error, cudaSuccess); }
cudaError_t cudaPeekAtLastError() { return last_error; }

cudaError_t cudaGetDeviceCount(int* count) { return *count = 1, cudaSuccess; }
cudaError_t cudaSetDevice(int device) { return result(device == 0, cudaErrorInvalidDevice); }
cudaError_t cudaGetDeviceProperties(cudaDeviceProp* properties, int device) {
  if (device != 0) return result(cudaErrorInvalidDevice);
  *properties = {"",
                 options().memory,
                 max_static_shared_bytes,
                 max_shared_bytes,
                 shared_bytes_per_multiprocessor,
                 warpSize,
                 1024,
                 2048,
                 65536,
                 8,
                 0,
                 4,
                 4 << 20};
  std::snprintf(properties->name, sizeof properties->name, "emulated GPU on %d threads", options().threads);
  return cudaSuccess;
}
cudaError_t cudaDeviceSynchronize() { return result(!refused_by_capture(true), cudaErrorStreamCaptureUnsupported); }

cudaError_t cudaMalloc(void** p, size_t bytes) {
  *p = nullptr;
  if (refused_by_capture()) return result(cudaErrorStreamCaptureUnsupported);
  if (bytes != 0) *p = device_memory().allocate(bytes);
  return result(bytes == 0 || *p != nullptr, cudaErrorMemoryAllocation);
}
cudaError_t cudaFree(void* p) {
  if (refused_by_capture()) return result(cudaErrorStreamCaptureUnsupported);
  return result(p == nullptr || device_memory().release(p), cudaErrorInvalidValue);
}
cudaError_t cudaMemGetInfo(size_t* free, size_t* total) {
  *total = options().memory;
  *free = *total - device_memory().used();
  return cudaSuccess;
}
cudaError_t cudaHostAlloc(void** p, size_t bytes, unsigned) {
  *p = device_memory().allocate_pinned(bytes);
  return result(*p != nullptr, cudaErrorMemoryAllocation);
}
cudaError_t cudaMallocHost(void** p, size_t bytes) { return cudaHostAlloc(p, bytes, cudaHostAllocDefault); }
cudaError_t cudaFreeHost(void* p) {
  return result(p == nullptr || device_memory().release_pinned(p), cudaErrorInvalidValue);
}

cudaError_t cudaMemcpyAsync(void* to, const void* from, size_t bytes, cudaMemcpyKind kind, cudaStream_t stream) {
  if (bytes == 0) return cudaSuccess;
  const bool to_device = kind == cudaMemcpyHostToDevice || kind == cudaMemcpyDeviceToDevice;
  const bool from_device = kind == cudaMemcpyDeviceToHost || kind == cudaMemcpyDeviceToDevice;
  if (to_device != device_memory().holds(to, bytes) || from_device != device_memory().holds(from, bytes))
    return result(cudaErrorInvalidValue);
  // The host's memory may change between the capture and a replay, so a graph here holds no copy from or to it.
  if (capturing(stream) && kind != cudaMemcpyDeviceToDevice) {
    stream->invalid = true;
    return result(cudaErrorStreamCaptureUnsupported);
  }
  return submit(stream, [=] {
    const DeviceMemory::Access access;
    std::memmove(to, from, bytes);
  });
}
cudaError_t cudaMemcpy(void* to, const void* from, size_t bytes, cudaMemcpyKind kind) {
  if (refused_by_capture()) return result(cudaErrorStreamCaptureUnsupported);
  return cudaMemcpyAsync(to, from, bytes, kind);
}
cudaError_t cudaMemsetAsync(void* p, int value, size_t bytes, cudaStream_t stream) {
  if (bytes == 0) return cudaSuccess;
  if (!device_memory().holds(p, bytes)) return result(cudaErrorInvalidValue);
  return submit(stream, [=] {
    const DeviceMemory::Access access;
    std::memset(p, value, bytes);
  });
}
cudaError_t cudaMemset(void* p, int value, size_t bytes) {
  if (refused_by_capture()) return result(cudaErrorStreamCaptureUnsupported);
  return cudaMemsetAsync(p, value, bytes);
}

cudaError_t cudaStreamCreate(cudaStream_t* stream) { return *stream = new Stream, cudaSuccess; }
cudaError_t cudaStreamCreateWithFlags(cudaStream_t* stream, unsigned) { return cudaStreamCreate(stream); }
cudaError_t cudaStreamDestroy(cudaStream_t stream) {
  if (stream == nullptr) return result(cudaErrorInvalidResourceHandle);
  delete stream;
  return cudaSuccess;
}
cudaError_t cudaStreamSynchronize(cudaStream_t stream) {
  if (!capturing(stream)) return cudaSuccess;
  stream->invalid = true;
  return result(cudaErrorStreamCaptureUnsupported);
}

cudaError_t cudaEventCreate(cudaEvent_t* event) { return *event = new Event, cudaSuccess; }
cudaError_t cudaEventCreateWithFlags(cudaEvent_t* event, unsigned) { return cudaEventCreate(event); }
cudaError_t cudaEventDestroy(cudaEvent_t event) { return delete event, cudaSuccess; }
cudaError_t cudaEventRecord(cudaEvent_t event, cudaStream_t) {
  *event = {std::chrono::steady_clock::now(), true};
  return cudaSuccess;
}
cudaError_t cudaEventSynchronize(cudaEvent_t) {
  return result(!refused_by_capture(), cudaErrorStreamCaptureUnsupported);
}
cudaError_t cudaEventElapsedTime(float* milliseconds, cudaEvent_t begin, cudaEvent_t end) {
  *milliseconds = std::chrono::duration<float, std::milli>(end->time - begin->time).count();
  return result(begin->recorded && end->recorded, cudaErrorInvalidResourceHandle);
}

cudaError_t cudaStreamBeginCapture(cudaStream_t stream, cudaStreamCaptureMode mode) {
  if (stream == nullptr) return result(cudaErrorStreamCaptureUnsupported);  // the default one cannot be captured
  if (capturing(stream)) return result(cudaErrorInvalidValue);
  std::lock_guard lock(captures_mutex);
  *stream = {new Graph, mode == cudaStreamCaptureModeRelaxed, false};
  captures.push_back(stream);
  return cudaSuccess;
}
cudaError_t cudaStreamEndCapture(cudaStream_t stream, cudaGraph_t* graph) {
  *graph = nullptr;
  if (!capturing(stream)) return result(cudaErrorInvalidValue);
  std::lock_guard lock(captures_mutex);
  std::erase(captures, stream);
  *graph = std::exchange(stream->capture, nullptr);
  if (stream->invalid) delete std::exchange(*graph, nullptr);
  return result(!stream->invalid, cudaErrorStreamCaptureInvalidated);
}
cudaError_t cudaGraphInstantiate(cudaGraphExec_t* executable, cudaGraph_t graph, unsigned long long) {
  if (graph == nullptr) return result(cudaErrorInvalidValue);
  return *executable = new GraphExec{graph->work}, cudaSuccess;
}
cudaError_t cudaGraphLaunch(cudaGraphExec_t executable, cudaStream_t stream) {
  if (executable == nullptr) return result(cudaErrorInvalidValue);
  for (const auto& work : executable->work) submit(stream, work);
  return cudaSuccess;
}
cudaError_t cudaGraphExecDestroy(cudaGraphExec_t executable) { return delete executable, cudaSuccess; }
cudaError_t cudaGraphDestroy(cudaGraph_t graph) { return delete graph, cudaSuccess; }
