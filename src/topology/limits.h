// What a device can take. Stacked upward when a geom is made: a device is never more able than
// what lies below it, unless its class says so.
#pragma once

#include <cstdint>

#include "base/bytes.h"
#include "bio/op.h"

namespace ashlar {

// The longest request with a payload that any device accepts whole; longer ones are carved on
// entry. The NBD protocol's customary bound, and far past the point of diminishing returns.
inline constexpr std::uint64_t kMaxRequestBytes = 32 * kMiB;

// The longest request without payload (discard, write_zeroes) that goes down whole.
inline constexpr std::uint64_t kMaxRangeBytes = std::uint64_t{1} << 62;

// The largest device: offsets fit a signed 64-bit file offset.
inline constexpr std::uint64_t kMaxDeviceBytes = (std::uint64_t{1} << 63) - 512;

inline constexpr std::uint32_t kMinBlockBytes = 512;
inline constexpr std::uint32_t kMaxBlockBytes = 65536;

struct Limits {
  std::uint32_t block_bytes = kMinBlockBytes;  // offset and length are multiples of it
  std::uint32_t memory_alignment = 1;          // payload addresses that avoid a bounce
  std::uint64_t max_request_bytes = kMaxRequestBytes;
  std::uint64_t max_range_bytes = kMaxRangeBytes;
  std::uint64_t discard_granularity_bytes = 0;  // 0: no preference
  std::uint64_t preferred_bytes = 4096;         // a good request size
  OpSet ops = OpSet::all();

  friend bool operator==(const Limits&, const Limits&) = default;
};

// The limits of a device over devices with limits `a` and `b`.
Limits stack_limits(const Limits& a, const Limits& b);

}  // namespace ashlar
