// The book of changes; see leg_gate.h.
#include "class/mirror/leg_gate.h"

#include <algorithm>
#include <utility>

namespace ashlar {
namespace {

// Ranges that are kept apart; more are copied again together with what lies between.
constexpr std::size_t kMostSpoiled = 64;

bool overlap(Extent a, Extent b) { return a.offset < b.end() && b.offset < a.end(); }

Extent hull(Extent a, Extent b) {
  const std::uint64_t first = std::min(a.offset, b.offset);
  return {first, std::max(a.end(), b.end()) - first};
}

}  // namespace

void LegGate::Local::attend(Context& cx) noexcept {
  Changes again;
  again.splice_back(waiting_);
  while (Change* change = again.pop_front()) {
    Bio& bio = *change->bio;
    std::destroy_at(change);
    cx.again(bio);
  }
}

bool LegGate::in_the_way(const Change& change) const noexcept {
  return locked_ && overlap(change.range, *locked_);
}

bool LegGate::enter(Change& change) noexcept {
  const MutexLock lock(mutex_);
  if (in_the_way(change)) {
    waited_for_ = true;
    return false;
  }
  book_.push_back(change);
  return true;
}

void LegGate::leave(Change& change) noexcept {
  std::function<void()> ready;
  {
    const MutexLock lock(mutex_);
    change.link.unlink();
    if (!in_the_way(change) || before_ == 0 || --before_ > 0) return;
    ready = std::exchange(ready_, nullptr);
  }
  if (ready) ready();
}

void LegGate::spoil(Extent range) noexcept {
  const MutexLock lock(mutex_);
  if (spoiled_.size() < kMostSpoiled) {
    spoiled_.push_back(range);
  } else {
    spoiled_.back() = hull(spoiled_.back(), range);
  }
}

void LegGate::begin(std::uint32_t leg) noexcept {
  const MutexLock lock(mutex_);
  spoiled_.clear();
  spoiled_.reserve(kMostSpoiled);
  legs_.begin(leg);
}

bool LegGate::lock(Extent range, std::function<void()> ready) {
  const MutexLock lock(mutex_);
  ASHLAR_ASSERT(!locked_);
  locked_ = range;
  before_ = 0;
  for (Change* each = book_.empty() ? nullptr : &book_.front(); each != nullptr;
       each = book_.next(*each)) {
    if (in_the_way(*each)) ++before_;
  }
  if (before_ == 0) return true;
  ready_ = std::move(ready);
  return false;
}

void LegGate::unlock() noexcept {
  {
    const MutexLock lock(mutex_);
    locked_.reset();
    ready_ = nullptr;
    if (!std::exchange(waited_for_, false)) return;
  }
  locals_.request_attention();
}

std::optional<Extent> LegGate::next_spoiled() {
  const MutexLock lock(mutex_);
  if (spoiled_.empty()) return std::nullopt;
  const Extent last = spoiled_.back();
  spoiled_.pop_back();
  return last;
}

void LegGate::progress(std::uint32_t leg, std::uint64_t done_bytes,
                       std::uint64_t total_bytes) noexcept {
  const double share =
      total_bytes == 0 ? 1.0 : static_cast<double>(done_bytes) / static_cast<double>(total_bytes);
  legs_.set_progress(leg, static_cast<std::uint32_t>(100.0 * std::min(share, 1.0)));
}

bool LegGate::finish(std::uint32_t leg) noexcept {
  const MutexLock lock(mutex_);
  return spoiled_.empty() && legs_.finish(leg);
}

void LegGate::fail(std::uint32_t leg, Errc error) noexcept {
  legs_.settle(~leg_bit(leg), leg_bit(leg), Op::write, error);
}

}  // namespace ashlar
