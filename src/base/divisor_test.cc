// Goal: the multiplication gives exactly what the division gives.
// Method: dividends at and beside multiples of many divisors, up to 2^63 - 1, and random ones.
#include "base/divisor.h"

#include <gtest/gtest.h>

#include <random>

namespace ashlar {
namespace {

constexpr std::uint64_t kMost = (std::uint64_t{1} << 63) - 1;

void check_around(const Divisor& by, std::uint64_t dividend) {
  for (std::uint64_t x = dividend < 2 ? 0 : dividend - 2; x <= dividend + 2 && x <= kMost; ++x) {
    ASSERT_EQ(by.quotient(x), x / by.value()) << x << " / " << by.value();
  }
}

void check(std::uint64_t divisor, std::mt19937_64& random) {
  const Divisor by(divisor);
  check_around(by, 0);
  check_around(by, kMost);
  check_around(by, kMost / divisor * divisor);
  for (int i = 0; i < 200; ++i) {
    const std::uint64_t any = random() >> (1 + random() % 63);
    check_around(by, any);
    check_around(by, any / divisor * divisor);
  }
}

TEST(Divisor, agrees_with_division) {
  std::mt19937_64 random(1);
  for (std::uint64_t small = 1; small <= 300; ++small) check(small, random);
  for (unsigned bit = 1; bit <= 62; ++bit) {
    const std::uint64_t power = std::uint64_t{1} << bit;
    check(power, random);
    check(power - 1, random);
    if (bit < 62) check(power + 1, random);
    check(1 + random() % power, random);
  }
}

TEST(Divisor, is_a_constant_where_it_can_be) {
  constexpr Divisor by(3);
  static_assert(by.quotient(kMost) == kMost / 3);
  EXPECT_EQ(by.quotient(8), 2u);
}

}  // namespace
}  // namespace ashlar
