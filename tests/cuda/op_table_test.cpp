// The op table on the device: values, gradients and gradients of gradients against the reference's, in every layout.
#include "tests/op_table.h"
#include "tensor/kernels/cuda/runtime.h"
#include "tests/cuda/device.h"

namespace gradus::optable {
namespace {

class CudaOpTable : public OpTable {
 protected:
  void SetUp() override {
    if (!is_available(Device::cuda)) GTEST_SKIP() << "device cuda: " << describe(Device::cuda);
    set_isa("reference");
  }

 private:
  const testing::BackendGuard guard_{};
};

std::vector<Tensor> moved(const std::vector<Tensor>& tensors) {
  std::vector<Tensor> there;
  for (const Tensor& x : tensors) there.push_back(x.to(Device::cuda));
  return there;
}

// Made of sizes alone, on a device that is an argument.
const std::set<std::string> stays_on_host = {"Tensor::to(Device)", "alibi_bias", "causal_mask", "window_mask"};

// A kernel's sums are of other orders than the reference's, in float32 itself.
constexpr double device_tolerance32 = 2e-5;

TEST_P(CudaOpTable, Backends) {
  for (const DType dtype : {float32, float64}) {
    SCOPED_TRACE(to_string(dtype));
    each_case([dtype](const Row& row, size_t c) {
      const std::vector<Tensor> inputs = make_inputs(row.cases[c], dtype);
      const Result expected = run(row, c, inputs), result = run(row, c, moved(inputs));
      for (const Tensor& y : result.values) EXPECT_EQ(y.device() == Device::cpu, stays_on_host.count(row.op) > 0);
      for (const Tensor& g : result.gradients) EXPECT_EQ(g.device(), Device::cuda);
      expect_close(result, expected, dtype == float32 ? device_tolerance32 : tolerance64);
    });
  }
}

// All elements against central differences; the inputs stay on the host, where gradcheck changes them.
TEST_P(CudaOpTable, Gradients) {
  each_case([](const Row& row, size_t c) {
    if (row.options.check < Check::once) return;
    const TensorFunction f = joined(row);
    const auto there = [f](const std::vector<Tensor>& x) { return f(moved(x)).to(Device::cpu); };
    gradcheck(there, leaves(row, c, make_inputs(row.cases[c], float64)));
  });
}

// Rows, columns and steps that are not one after the other in memory.
TEST_P(CudaOpTable, Layouts) {
  each_case([](const Row& row, size_t c) {
    std::vector<Tensor> arranged;
    const std::vector<Tensor> inputs = make_inputs(row.cases[c], float32);
    for (const Tensor& x : moved(inputs)) {
      Dims order;
      for (int d = x.dim(); d-- > 0;) order.push_back(d);
      arranged.push_back(x.permute(order).clone().permute(order));
    }
    expect_close(run(row, c, arranged), run(row, c, inputs), device_tolerance32);
  });
}

TEST_P(CudaOpTable, Storage) {
  each_case([](const Row& row, size_t c) {
    const std::vector<Tensor> inputs = moved(make_inputs(row.cases[c], float32));
    run(row, c, inputs);
    const MemoryStats before = cuda::memory_stats();
    run(row, c, inputs);
    EXPECT_EQ(cuda::memory_stats().blocks, before.blocks);
    EXPECT_EQ(cuda::memory_stats().live, before.live);
  });
}

INSTANTIATE_TEST_SUITE_P(Every, CudaOpTable, ::testing::ValuesIn(ops_with_rows()), test_name);

}  // namespace
}  // namespace gradus::optable
