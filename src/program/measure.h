// What a channel counts while it works: requests by layer, and the time of some of them.
//
//   channel->count_layers(true);
//   channel->measure_latency(64);            // one request in 64
//   ...
//   channel->latency().percentile_ns(99)
//
// Off, both cost a comparison a request. On, counting costs a few instructions a layer and no
// locked one: every counter has one writer, the context that runs the step. Time is the processor's
// time-stamp counter, read twice for one request in `every`, because a clock costs 27 ns and the
// counter some 10: at 1 in 64 that is a third of a nanosecond for each request. It is turned into
// nanoseconds when somebody asks, by the monotonic clock's advance since measuring began.
//
// THREAD: written by the lane (layers: by the context of the step). Layers and histograms may be
// read by any thread as long as the channel is open and keeps its program.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>

#include "bio/bio.h"

namespace ashlar {

// A counter with one writer.
class Count {
 public:
  void add(std::uint64_t amount) noexcept {
    value_.store(value_.load(std::memory_order_relaxed) + amount, std::memory_order_relaxed);
  }
  std::uint64_t get() const noexcept { return value_.load(std::memory_order_relaxed); }

 private:
  std::atomic<std::uint64_t> value_{0};
};

// What passed one step of a program, of one operation.
struct OpCount {
  Count requests;  // that came down to it, children too
  Count bytes;     // of these
  Count errors;    // that it made itself, not those that it was told of
};

// What passed one step of a program.
struct LayerCount {
  std::array<OpCount, kOpCount> ops;

  OpCount& of(Op op) noexcept { return ops[static_cast<std::size_t>(op)]; }
  const OpCount& of(Op op) const noexcept { return ops[static_cast<std::size_t>(op)]; }
};

// The processor's time-stamp counter; nanoseconds where there is none.
std::uint64_t ticks() noexcept;

// Times by powers of two, each cut into four: a reported time is at most 25 % too long.
class LatencyHistogram {
 public:
  static constexpr unsigned kSubBits = 2;
  static constexpr std::size_t kBuckets = (64 - kSubBits + 1) << kSubBits;

  void add(std::uint64_t spent) noexcept { buckets_[bucket_of(spent)].add(1); }
  std::uint64_t count() const noexcept;
  // The end of the bucket that `percent` (0 to 100) of the values lie in or below; 0 for none.
  std::uint64_t percentile(double percent) const noexcept;

  static std::size_t bucket_of(std::uint64_t value) noexcept;
  static std::uint64_t end_of(std::size_t bucket) noexcept;  // the largest value in it

 private:
  std::array<Count, kBuckets> buckets_;
};

// Measures one request in `every` (a power of two) of a channel. At depth, a request whose turn it
// is while the one before it is under way is left out.
class LatencySampler {
 public:
  explicit LatencySampler(std::uint64_t every) noexcept;

  std::uint64_t every() const noexcept { return every_; }
  // Requests measured so far.
  std::uint64_t count() const noexcept { return times_.count(); }
  // Nanoseconds. THREAD: any.
  std::uint64_t percentile_ns(double percent) const noexcept { return nanoseconds({percent})[0]; }
  // Several at once, by one scale: where the percentages ascend, so do they.
  template <std::size_t kCount>
  std::array<std::uint64_t, kCount> nanoseconds(const double (&percents)[kCount]) const noexcept {
    const double scale = ns_per_tick();
    std::array<std::uint64_t, kCount> all;
    for (std::size_t i = 0; i < kCount; ++i) {
      const auto passed = static_cast<double>(times_.percentile(percents[i]));
      all[i] = static_cast<std::uint64_t>(passed * scale);
    }
    return all;
  }

 private:
  friend class Generation;

  // The counter's rate, as seen since the sampler was made.
  double ns_per_tick() const noexcept;

  const std::uint64_t every_;
  const std::uint64_t first_tick_;
  const std::uint64_t first_ns_;
  std::uint64_t began_ = 0;  // of the request that is being measured
  LatencyHistogram times_;
};

}  // namespace ashlar
