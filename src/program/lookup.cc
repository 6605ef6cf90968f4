// Binary search of folded extents, and the split of what crosses their borders.
#include "program/lookup.h"

#include <algorithm>

#include "program/split.h"

namespace ashlar {

const LookupExtent& LookupTable::at(std::uint64_t offset) const noexcept {
  const auto behind = std::upper_bound(
      extents_.begin(), extents_.end(), offset,
      [](std::uint64_t byte, const LookupExtent& extent) { return byte < extent.start; });
  ASHLAR_ASSERT(behind != extents_.begin());
  return *std::prev(behind);
}

std::uint64_t LookupTable::longest_request(std::uint64_t block) const noexcept {
  const std::size_t count = extents_.size();
  if (count <= kMaxPieces) return ~std::uint64_t{0};
  // The worst window of kMaxPieces extents: a request that begins with the last block of one extent
  // and reaches into the next kMaxPieces - 1.
  std::uint64_t shortest = ~std::uint64_t{0};
  for (std::size_t first = 0; first + kMaxPieces <= count; ++first) {
    const std::uint64_t begin = extents_[first].start + extents_[first].length - block;
    const LookupExtent& last = extents_[first + kMaxPieces - 1];
    shortest = std::min(shortest, last.start + last.length - begin);
  }
  return std::max(align_down(shortest, block), block);
}

Verdict LookupTable::on_request(void* body, Bio& bio, void*, Context& cx) noexcept {
  const auto& table = *static_cast<const LookupTable*>(body);
  const LookupExtent* extent = &table.at(bio.offset);
  const std::uint64_t inside = bio.offset - extent->start;
  if (bio.length <= extent->length - inside) [[likely]] {
    bio.offset = extent->offset + inside;
    return Verdict::forward(extent->edge);
  }
  Split split(cx, bio);
  std::uint64_t skip = 0;
  while (skip < bio.length) {
    const std::uint64_t into = bio.offset + skip - extent->start;
    const std::uint64_t piece = std::min(bio.length - skip, extent->length - into);
    split.add(extent->edge, extent->offset + into, skip, piece);
    skip += piece;
    ++extent;
  }
  return split.verdict();
}

}  // namespace ashlar
