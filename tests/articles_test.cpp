// The numbers that the source articles should have had.
#include <gtest/gtest.h>

#include "tests/paths.h"

namespace gradus {
namespace {

TEST(Articles, PrintsWhatIsRight) {
  std::string output;
  ASSERT_EQ(testing::shell(testing::program("articles"), &output), 0) << output;
  for (const char* number :
       {"[0.4046 0.1488 0.1488 0.1488 0.1488]", "[0.0117 0.0317 0.0861 0.2341 0.6364]", "[4.4519 0.0000",
        "[3.8251 0.0000", "[3, 3]: [1.0000 2.0000 3.0000]", "[32, 64, 512], from 1048576 weights",
        "64 weights is 0.92", "on average, and 0.10", "[0.0900 0.2447 0.6652] becomes [0.2535 0.2959 0.4506]",
        "0.0414", "[0.1679 0.2992 0.5329]", "2.5752", "2.3650", "673281 = 640000 + 33216 + 65", "[1, 196, 768]",
        "differ by 0.0000 without them, by 0.1", "8266 weights"})
    EXPECT_NE(output.find(number), std::string::npos) << number << " is not in\n" << output;
}

}  // namespace
}  // namespace gradus
