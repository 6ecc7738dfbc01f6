// The part of CUDA's runtime that the backend uses, by its own names. Work is done before a call returns, so streams
// and events hold nothing; only a stream that is being captured defers its work, to a graph.
#pragma once

#include <cstddef>
#include <functional>

#include "tensor/kernels/cuda/emu/types.h"

// clang-format off
#define EMU_ERRORS(entry)                                                                               \
  entry(cudaSuccess, 0, "no error")                                                                     \
  entry(cudaErrorInvalidValue, 1, "invalid argument")                                                   \
  entry(cudaErrorMemoryAllocation, 2, "out of memory")                                                  \
  entry(cudaErrorInvalidConfiguration, 9, "invalid configuration argument")                             \
  entry(cudaErrorNoDevice, 100, "no CUDA-capable device is detected")                                   \
  entry(cudaErrorInvalidDevice, 101, "invalid device ordinal")                                          \
  entry(cudaErrorInvalidResourceHandle, 400, "invalid resource handle")                                 \
  entry(cudaErrorNotReady, 600, "device not ready")                                                     \
  entry(cudaErrorIllegalAddress, 700, "an illegal memory access was encountered")                       \
  entry(cudaErrorLaunchOutOfResources, 701, "too many resources requested for launch")                  \
  entry(cudaErrorLaunchFailure, 719, "unspecified launch failure")                                      \
  entry(cudaErrorStreamCaptureUnsupported, 900, "operation not permitted when stream is capturing")     \
  entry(cudaErrorStreamCaptureInvalidated, 901, "operation failed due to a previous error during capture") \
  entry(cudaErrorUnknown, 999, "unknown error")
// clang-format on

#define EMU_ENUMERATOR(name, number, text) name = number,
enum cudaError_t { EMU_ERRORS(EMU_ENUMERATOR) };
#undef EMU_ENUMERATOR

namespace emu {
struct Graph;
struct GraphExec;
struct Stream;
struct Event;
void set_last_error(cudaError_t error);
bool capturing(const Stream* stream);
void record(Stream* stream, std::function<void()> work);  // of a stream that is being captured
}  // namespace emu

using cudaStream_t = emu::Stream*;
using cudaEvent_t = emu::Event*;
using cudaGraph_t = emu::Graph*;
using cudaGraphExec_t = emu::GraphExec*;

const char* cudaGetErrorName(cudaError_t error);
const char* cudaGetErrorString(cudaError_t error);
cudaError_t cudaGetLastError();  // and forgets it
cudaError_t cudaPeekAtLastError();

struct cudaDeviceProp {
  char name[256];
  size_t totalGlobalMem, sharedMemPerBlock, sharedMemPerBlockOptin, sharedMemPerMultiprocessor;
  int warpSize, maxThreadsPerBlock, maxThreadsPerMultiProcessor, regsPerBlock;
  int major, minor, multiProcessorCount, l2CacheSize;
};
cudaError_t cudaGetDeviceCount(int* count);
cudaError_t cudaSetDevice(int device);
cudaError_t cudaGetDeviceProperties(cudaDeviceProp* properties, int device);
cudaError_t cudaDeviceSynchronize();

enum cudaMemcpyKind {
  cudaMemcpyHostToHost,
  cudaMemcpyHostToDevice,
  cudaMemcpyDeviceToHost,
  cudaMemcpyDeviceToDevice
};
inline constexpr unsigned cudaHostAllocDefault = 0, cudaHostAllocPortable = 1, cudaHostAllocMapped = 2;
cudaError_t cudaMalloc(void** p, size_t bytes);
template <class T>
cudaError_t cudaMalloc(T** p, size_t bytes) {
  return cudaMalloc(reinterpret_cast<void**>(p), bytes);
}
cudaError_t cudaFree(void* p);
cudaError_t cudaMemGetInfo(size_t* free, size_t* total);
cudaError_t cudaHostAlloc(void** p, size_t bytes, unsigned flags);
cudaError_t cudaMallocHost(void** p, size_t bytes);
cudaError_t cudaFreeHost(void* p);
cudaError_t cudaMemcpyAsync(void* to, const void* from, size_t bytes, cudaMemcpyKind kind,
                            cudaStream_t stream = nullptr);
cudaError_t cudaMemcpy(void* to, const void* from, size_t bytes, cudaMemcpyKind kind);
cudaError_t cudaMemsetAsync(void* p, int value, size_t bytes, cudaStream_t stream = nullptr);
cudaError_t cudaMemset(void* p, int value, size_t bytes);

inline constexpr unsigned cudaStreamDefault = 0, cudaStreamNonBlocking = 1;
cudaError_t cudaStreamCreate(cudaStream_t* stream);
cudaError_t cudaStreamCreateWithFlags(cudaStream_t* stream, unsigned flags);
cudaError_t cudaStreamDestroy(cudaStream_t stream);
cudaError_t cudaStreamSynchronize(cudaStream_t stream);

inline constexpr unsigned cudaEventDefault = 0, cudaEventDisableTiming = 2;
cudaError_t cudaEventCreate(cudaEvent_t* event);
cudaError_t cudaEventCreateWithFlags(cudaEvent_t* event, unsigned flags);
cudaError_t cudaEventDestroy(cudaEvent_t event);
cudaError_t cudaEventRecord(cudaEvent_t event, cudaStream_t stream = nullptr);
cudaError_t cudaEventSynchronize(cudaEvent_t event);
cudaError_t cudaEventElapsedTime(float* milliseconds, cudaEvent_t begin, cudaEvent_t end);

// What waits for the device or gives out memory may spoil a capture, and is refused unless the mode is relaxed.
enum cudaStreamCaptureMode {
  cudaStreamCaptureModeGlobal,
  cudaStreamCaptureModeThreadLocal,
  cudaStreamCaptureModeRelaxed
};
cudaError_t cudaStreamBeginCapture(cudaStream_t stream, cudaStreamCaptureMode mode);
cudaError_t cudaStreamEndCapture(cudaStream_t stream, cudaGraph_t* graph);
cudaError_t cudaGraphInstantiate(cudaGraphExec_t* executable, cudaGraph_t graph, unsigned long long flags = 0);
cudaError_t cudaGraphLaunch(cudaGraphExec_t executable, cudaStream_t stream);
cudaError_t cudaGraphExecDestroy(cudaGraphExec_t executable);
cudaError_t cudaGraphDestroy(cudaGraph_t graph);

enum cudaFuncAttribute { cudaFuncAttributeMaxDynamicSharedMemorySize = 8 };
namespace emu {
cudaError_t set_function_attribute(cudaFuncAttribute attribute, int value);
cudaError_t max_active_blocks(int* blocks, int threads, size_t shared_bytes);
}  // namespace emu
template <class... P>
cudaError_t cudaFuncSetAttribute(void (*)(P...), cudaFuncAttribute attribute, int value) {
  return emu::set_function_attribute(attribute, value);
}
template <class... P>
cudaError_t cudaOccupancyMaxActiveBlocksPerMultiprocessor(int* blocks, void (*)(P...), int threads,
                                                          size_t shared_bytes) {
  return emu::max_active_blocks(blocks, threads, shared_bytes);
}
