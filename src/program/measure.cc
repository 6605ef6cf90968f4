// Histograms, and time by the processor's counter.
#include "program/measure.h"

#include <bit>
#include <cmath>

#include "program/context.h"

namespace ashlar {

std::uint64_t ticks() noexcept {
#if defined(__x86_64__)
  return __builtin_ia32_rdtsc();
#else
  return system_clock().now_ns();
#endif
}

// Values below 4 have a bucket each; above, the bits behind the leading one choose the quarter.
std::size_t LatencyHistogram::bucket_of(std::uint64_t value) noexcept {
  constexpr std::uint64_t kQuarters = 1u << kSubBits;
  if (value < kQuarters) return static_cast<std::size_t>(value);
  const auto exponent = static_cast<unsigned>(std::bit_width(value)) - 1 - kSubBits;
  return (std::size_t{exponent + 1} << kSubBits) + ((value >> exponent) & (kQuarters - 1));
}

std::uint64_t LatencyHistogram::end_of(std::size_t bucket) noexcept {
  constexpr std::uint64_t kQuarters = 1u << kSubBits;
  if (bucket < kQuarters) return bucket;
  const auto exponent = static_cast<unsigned>(bucket >> kSubBits) - 1;
  const std::uint64_t quarter = kQuarters + (bucket & (kQuarters - 1));
  return (quarter << exponent) + ((std::uint64_t{1} << exponent) - 1);
}

std::uint64_t LatencyHistogram::count() const noexcept {
  std::uint64_t sum = 0;
  for (const Count& each : buckets_) sum += each.get();
  return sum;
}

std::uint64_t LatencyHistogram::percentile(double percent) const noexcept {
  const std::uint64_t total = count();
  if (total == 0) return 0;
  const auto wanted =
      static_cast<std::uint64_t>(std::ceil(static_cast<double>(total) * percent / 100));
  std::uint64_t seen = 0;
  for (std::size_t i = 0; i < kBuckets; ++i) {
    seen += buckets_[i].get();
    if (seen > 0 && seen >= wanted) return end_of(i);
  }
  return end_of(kBuckets - 1);
}

LatencySampler::LatencySampler(std::uint64_t every) noexcept
    : every_(std::bit_ceil(every)), first_tick_(ticks()), first_ns_(system_clock().now_ns()) {}

double LatencySampler::ns_per_tick() const noexcept {
  const std::uint64_t spent_ticks = ticks() - first_tick_;
  const std::uint64_t spent_ns = system_clock().now_ns() - first_ns_;
  return spent_ticks == 0 ? 0 : static_cast<double>(spent_ns) / static_cast<double>(spent_ticks);
}

}  // namespace ashlar
