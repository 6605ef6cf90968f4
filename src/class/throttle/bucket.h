// A limit on a rate, shared by all lanes: a token bucket, kept as the time at which it was empty.
//
//   taking c tokens:   empty = max(empty, now - burst) + c / rate;   go at `empty`
//
// So what was not used lately, up to `burst`, may be used at once, and what is taken ahead of time
// is told when it may go. One atomic word; nothing is refilled by a clock.
//
// THREAD: any.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstdint>

namespace ashlar {

class Bucket {
 public:
  // Times are kept in 1/64 ns, so that high rates are exact; 2^58 ns are nine years.
  static constexpr std::uint64_t kUnitsPerNs = 64;
  static constexpr std::uint64_t kUnitsPerSecond = 1'000'000'000 * kUnitsPerNs;

  // Tokens a second; 0: no limit.
  void set_rate(std::uint64_t per_second) noexcept {
    rate_.store(per_second, std::memory_order_relaxed);
  }
  std::uint64_t rate() const noexcept { return rate_.load(std::memory_order_relaxed); }

  // Takes `tokens`; when they may be used, in ns. 0: at once. `since_ns`: from when on they were
  // wanted; what was unused for more than the burst before that is lost, and nothing after it.
  std::uint64_t take(std::uint64_t tokens, std::uint64_t burst_ns, std::uint64_t since_ns,
                     std::uint64_t now_ns) noexcept {
    const std::uint64_t cost = cost_of(tokens);
    if (cost == 0) return 0;
    // One token may always be taken where nothing was for its time.
    const std::uint64_t burst = std::max(burst_ns * kUnitsPerNs, cost_of(1));
    const std::uint64_t now = now_ns * kUnitsPerNs;
    const std::uint64_t since = since_ns * kUnitsPerNs;
    const std::uint64_t floor = since > burst ? since - burst : 0;
    std::uint64_t empty = empty_.load(std::memory_order_relaxed);
    std::uint64_t after;
    do {
      after = std::max(empty, floor) + cost;
    } while (!empty_.compare_exchange_weak(empty, after, std::memory_order_relaxed));
    return after <= now ? 0 : (after + kUnitsPerNs - 1) / kUnitsPerNs;
  }

  // Gives back what was taken and not used.
  void give_back(std::uint64_t tokens) noexcept {
    empty_.fetch_sub(cost_of(tokens), std::memory_order_relaxed);
  }

  // Forgets what was taken ahead of time.
  void reset(std::uint64_t now_ns) noexcept {
    std::uint64_t empty = empty_.load(std::memory_order_relaxed);
    const std::uint64_t now = now_ns * kUnitsPerNs;
    while (empty > now && !empty_.compare_exchange_weak(empty, now, std::memory_order_relaxed)) {
    }
  }

 private:
  std::uint64_t cost_of(std::uint64_t tokens) const noexcept {
    const std::uint64_t rate_now = rate();
    if (rate_now == 0) return 0;
    __extension__ using Wide = unsigned __int128;
    return static_cast<std::uint64_t>(Wide{tokens} * kUnitsPerSecond / rate_now);
  }

  std::atomic<std::uint64_t> rate_{0};
  std::atomic<std::uint64_t> empty_{0};  // in units
};

}  // namespace ashlar
