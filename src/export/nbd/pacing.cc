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
  // It sends no more, or stopped reading: its socket will tell.
  if (requests == 0) return stop();
  if (!busy) {
    rest_ns_ -= rest_ns_ / 4;
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
