// Stripes whose parity may not fit their data until a resync has been there: those that the array
// came with when it was not shut down cleanly. A small change must not let such parity follow it:
// what is wrong would stay wrong, and with it the change would be lost together with its member.
//
// THREAD: has() any; the rest the control thread's, or whoever resyncs. Where there is none, has()
// is one load.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <utility>
#include <vector>

#include "base/extent.h"

namespace ashlar {

class UnsureStripes {
 public:
  // Ascending ranges of the array's bytes, in whole stripes. REQUIRES: before the first request.
  void set(std::vector<Extent> ranges) {
    ranges_ = std::move(ranges);
    sure_below_.store(ranges_.empty() ? kAllSure : 0, std::memory_order_release);
  }
  // Whether the stripe that begins there may be wrong.
  bool has(std::uint64_t offset) const noexcept {
    const std::uint64_t sure_below = sure_below_.load(std::memory_order_acquire);
    if (offset < sure_below) return false;
    const auto next =
        std::upper_bound(ranges_.begin(), ranges_.end(), offset,
                         [](std::uint64_t at, const Extent& each) { return at < each.end(); });
    return next != ranges_.end() && next->offset <= offset;
  }
  // Everything below this byte of the array fits now.
  void set_sure(std::uint64_t below) noexcept {
    if (below > sure_below_.load(std::memory_order_relaxed)) {
      sure_below_.store(below, std::memory_order_release);
    }
  }
  void set_all_sure() noexcept { set_sure(kAllSure); }

 private:
  static constexpr std::uint64_t kAllSure = ~std::uint64_t{0};

  std::vector<Extent> ranges_;
  std::atomic<std::uint64_t> sure_below_{kAllSure};
};

}  // namespace ashlar
