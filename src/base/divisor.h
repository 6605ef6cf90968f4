// Division by a number that stays the same, as a multiplication: what turns an offset into a row
// and a place on every request should not wait for the divider.
#pragma once

#include <bit>
#include <cstdint>

#include "base/assert.h"

namespace ashlar {

// Exact for all dividends below 2^63, which byte offsets are.
//
// With d the divisor, L = ceil(log2 d) and m = ceil(2^(63 + L) / d), the product m * x exceeds
// 2^(63 + L) * x / d by less than 2^(63 + L) / d, so the whole part of the quotient is right; and
// m < 2^64.
class Divisor {
 public:
  // REQUIRES: 0 < divisor <= 2^62.
  constexpr explicit Divisor(std::uint64_t divisor)
      : divisor_(divisor), shift_(static_cast<unsigned>(std::bit_width(divisor - 1)) + 63) {
    ASHLAR_ASSERT(divisor > 0 && divisor <= std::uint64_t{1} << 62);
    multiplier_ = static_cast<std::uint64_t>(((Wide{1} << shift_) + divisor - 1) / divisor);
  }

  // The divisor itself.
  constexpr std::uint64_t value() const noexcept { return divisor_; }

  // dividend / divisor. REQUIRES: dividend < 2^63.
  constexpr std::uint64_t quotient(std::uint64_t dividend) const noexcept {
    return static_cast<std::uint64_t>((Wide{multiplier_} * dividend) >> shift_);
  }

 private:
  __extension__ typedef unsigned __int128 Wide;

  std::uint64_t divisor_;
  std::uint64_t multiplier_ = 0;
  unsigned shift_;
};

}  // namespace ashlar
