// raid4, 5 and 6: what has to be made right, in whole stripes.
#include <algorithm>

#include "class/md/parity_array.h"

namespace ashlar {

// Ranges of the members' data as stripes of the array, with neighbours joined.
std::vector<Extent> ParityArray::ranges_of(std::span<const Extent> member_ranges) const {
  std::vector<Extent> rows;
  for (const Extent& each : member_ranges) {
    const std::uint64_t first = each.offset / chunk_bytes_;
    const std::uint64_t end = (each.offset + each.length + chunk_bytes_ - 1) / chunk_bytes_;
    const std::uint64_t last = std::min(end, layout_.stripes());
    if (first >= last) continue;
    const Extent row{first * row_bytes_, (last - first) * row_bytes_};
    const std::uint64_t so_far = rows.empty() ? 0 : rows.back().offset + rows.back().length;
    if (rows.empty() || row.offset > so_far) {
      rows.push_back(row);
    } else {
      rows.back().length = std::max(so_far, row.offset + row.length) - rows.back().offset;
    }
  }
  return rows;
}

std::vector<Extent> ParityArray::ranges_from(std::uint32_t, std::uint64_t member_offset) const {
  const Extent rest{member_offset, layout_.member_bytes() - member_offset};
  return ranges_of({&rest, 1});
}

std::uint64_t ParityArray::requests() const noexcept {
  std::uint64_t sum = 0;
  locals_.for_each([&](const ParityLocal& each) { sum += each.requests(); });
  return sum;
}

}  // namespace ashlar
