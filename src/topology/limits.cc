// How limits stack upward.
#include "topology/limits.h"

#include <algorithm>

namespace ashlar {

Limits stack_limits(const Limits& a, const Limits& b) {
  Limits both;
  both.block_bytes = std::max(a.block_bytes, b.block_bytes);
  both.memory_alignment = std::max(a.memory_alignment, b.memory_alignment);
  both.max_request_bytes = std::min(a.max_request_bytes, b.max_request_bytes);
  both.max_range_bytes = std::min(a.max_range_bytes, b.max_range_bytes);
  both.discard_granularity_bytes =
      std::max(a.discard_granularity_bytes, b.discard_granularity_bytes);
  both.preferred_bytes = std::max(a.preferred_bytes, b.preferred_bytes);
  both.ops = a.ops & b.ops;
  return both;
}

}  // namespace ashlar
