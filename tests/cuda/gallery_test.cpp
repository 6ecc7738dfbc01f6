// The gallery of broken kernels, tutorials/ladders/broken: the checker names each mistake at its line, whatever the
// order of blocks and threads, and has nothing to say of the mended kernels.
#include <gtest/gtest.h>

#include <fstream>
#include <string>

#include "tensor/error.h"
#include "tensor/kernels/cuda/emu/check.h"
#include "tests/paths.h"
#include "tutorials/ladders/broken/gallery.h"

namespace {

using emu::Order;

std::string report_of(const broken::Exhibit& exhibit, bool mended) {
  try {
    exhibit.run(mended);
    return "";
  } catch (const gradus::Error& error) {
    return error.what();
  }
}

// "FILE:LINE" of the line that is marked.
std::string place_of_fault(const broken::Exhibit& exhibit) {
  const std::string name = std::string(exhibit.name) + ".cu";
  std::ifstream file(gradus::testing::source_dir() + "/tutorials/ladders/broken/" + name);
  std::string line;
  for (int number = 1; std::getline(file, line); ++number)
    if (line.find("// FAULT") != std::string::npos) return name + ":" + std::to_string(number);
  return "no line of " + name + " is marked FAULT";
}

class Gallery : public testing::TestWithParam<broken::Exhibit> {
 protected:
  ~Gallery() override { emu::options() = before_; }
  template <class Look>
  static void in_all_orders(Look look) {
    for (const Order order : {Order::forward, Order::reverse, Order::random})
      for (const uint64_t seed : {1, 2, 3}) {
        if (order != Order::random && seed > 1) continue;
        SCOPED_TRACE(testing::Message() << "order " << int(order) << ", seed " << seed);
        emu::options().order = order;
        emu::options().seed = seed;
        look();
      }
  }

 private:
  const emu::Options before_ = emu::options();
};
INSTANTIATE_TEST_SUITE_P(Exhibits, Gallery, testing::ValuesIn(broken::exhibits()),
                         [](const auto& exhibit) { return std::string(exhibit.param.name); });

TEST_P(Gallery, TheFaultIsNamedAtItsLine) {
  if (!emu::check::compiled_in) GTEST_SKIP() << "built without the checker";
  const std::string place = place_of_fault(GetParam());
  in_all_orders([&] {
    const std::string report = report_of(GetParam(), false);
    EXPECT_NE(report.find(GetParam().report), std::string::npos) << report;
    EXPECT_TRUE(report.find(place + ":") != std::string::npos || report.find(place + ",") != std::string::npos)
        << place << "\n"
        << report;
  });
}

TEST_P(Gallery, TheMendedKernelPasses) {
  in_all_orders([] { EXPECT_EQ(report_of(GetParam(), true), ""); });
}

TEST(Gallery, HasAtLeastTwelveExhibits) { EXPECT_GE(broken::exhibits().size(), 12u); }

}  // namespace
