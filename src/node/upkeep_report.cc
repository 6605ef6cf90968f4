// How far it is, for those who look and those who wait.
#include "node/upkeep_report.h"

#include <array>

#include "base/assert.h"
#include "program/context.h"

namespace ashlar {

std::string_view to_string(UpkeepStatus::State state) noexcept {
  constexpr std::array<std::string_view, 5> kNames = {"idle", "running", "done", "stopped",
                                                      "failed"};
  return kNames[static_cast<std::size_t>(state)];
}

UpkeepStatus UpkeepReport::status() const {
  const MutexLock lock(mutex_);
  return status_;
}

bool UpkeepReport::wait(unsigned timeout_ms) const {
  const std::uint64_t deadline = system_clock().now_ns() + timeout_ms * std::uint64_t{1'000'000};
  const MutexLock lock(mutex_);
  while (status_.state == UpkeepStatus::State::running) {
    if (!ended_.wait_until(mutex_, static_cast<long long>(deadline))) break;
  }
  return status_.state != UpkeepStatus::State::running;
}

bool UpkeepReport::ask_again() {
  const MutexLock lock(mutex_);
  again_ = true;
  return !settled_;
}

bool UpkeepReport::settle(UpkeepStatus::State state, const std::string& problem) {
  const MutexLock lock(mutex_);
  if (std::exchange(again_, false) && state == UpkeepStatus::State::done) return false;
  settled_ = state;
  status_.problem = problem;
  return true;
}

bool UpkeepReport::settled() const {
  const MutexLock lock(mutex_);
  return settled_.has_value();
}

void UpkeepReport::end() {
  const MutexLock lock(mutex_);
  ASHLAR_ASSERT(settled_);
  status_.state = *settled_;
  ended_.notify_all();
}

}  // namespace ashlar
