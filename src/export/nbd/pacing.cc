// Feeling for the client's pace; see pacing.h.
#include "export/nbd/pacing.h"

#include <algorithm>

namespace ashlar::nbd {

bool Pacing::wants_unread() noexcept {
  if (rest_ns_ > 0) return true;
  if (++wakings_ < interval_) return false;
  wakings_ = 0;
  return true;
}

std::uint64_t Pacing::rest(std::uint32_t requests, std::uint64_t unread_bytes) noexcept {
  const bool busy = unread_bytes > 0;
  if (rest_ns_ == 0) {
    const bool one_by_one = requests > 0 && requests <= kFewRequests;
    return busy && one_by_one ? rest_ns_ = kFirstNs : stop();
  }
  // It sends no more, or has no processor: its socket will tell when that is over.
  if (requests == 0) return 0;
  if (!busy) {
    rest_ns_ -= rest_ns_ / (requests < kEnoughRequests ? 4 : 64);
    return rest_ns_ < kShortestNs ? stop() : rest_ns_;
  }
  if (requests < kEnoughRequests) rest_ns_ = std::min(rest_ns_ + rest_ns_ / 16, kLongestNs);
  interval_ = kFirstInterval;
  return rest_ns_;
}

// Looks ever more rarely at a client that takes its replies at once.
std::uint64_t Pacing::stop() noexcept {
  rest_ns_ = 0;
  interval_ = std::min(2 * interval_, kLongestInterval);
  return 0;
}

}  // namespace ashlar::nbd
