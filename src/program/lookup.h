// The one lookup that a tower of maps folds into: ascending extents, each to an edge and an offset.
#pragma once

#include <cstdint>
#include <vector>

#include "base/bytes.h"
#include "topology/step.h"

namespace ashlar {

// The most extents of one folded map; past it a map is refused rather than memory exhausted.
inline constexpr std::size_t kMaxExtents = std::size_t{1} << 22;

// The most pieces that a request is cut into at once; longer ranges are carved on entry.
inline constexpr std::uint16_t kMaxPieces = 64;

struct LookupExtent {
  std::uint64_t start = 0;  // bytes, on the device above
  std::uint64_t length = 0;
  std::uint32_t edge = 0;
  std::uint64_t offset = 0;  // bytes, on the device below
};

class LookupTable {
 public:
  // REQUIRES: not empty, ascending, without gaps.
  explicit LookupTable(std::vector<LookupExtent> extents) : extents_(std::move(extents)) {
    ASHLAR_ASSERT(!extents_.empty());
  }

  const std::vector<LookupExtent>& extents() const { return extents_; }

  // The extent that holds byte `offset`. REQUIRES: `offset` lies in the table.
  const LookupExtent& at(std::uint64_t offset) const noexcept;

  // The longest request, a multiple of `block`, that never touches more than kMaxPieces extents.
  std::uint64_t longest_request(std::uint64_t block) const noexcept;

  // The body of a lookup step.
  static Verdict on_request(void* body, Bio& bio, void* pad, Context& cx) noexcept;

 private:
  std::vector<LookupExtent> extents_;
};

}  // namespace ashlar
