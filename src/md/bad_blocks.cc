// Bad blocks as the kernel keeps them.
#include "md/bad_blocks.h"

#include <algorithm>

#include "md/units.h"

namespace ashlar::md {
namespace {

constexpr std::uint64_t kEnd = ~std::uint64_t{0};
constexpr unsigned kLengthBits = 10;
constexpr std::uint64_t kLengthMask = (1 << kLengthBits) - 1;
// The longest entry that the kernel makes of its own list.
constexpr std::uint64_t kMaxEntryUnits = 512;
// Shifts that can mean something: units up to 2^31 bytes.
constexpr unsigned kMaxShift = 22;

std::vector<Extent> joined(std::vector<Extent> ranges) {
  std::sort(ranges.begin(), ranges.end(),
            [](const Extent& a, const Extent& b) { return a.offset < b.offset; });
  std::vector<Extent> result;
  for (const Extent& each : ranges) {
    if (!result.empty() && each.offset <= result.back().end()) {
      result.back().length = std::max(result.back().end(), each.end()) - result.back().offset;
    } else {
      result.push_back(each);
    }
  }
  return result;
}

}  // namespace

Result<std::vector<Extent>> parse_bad_blocks(ByteView log, const BadBlockLog& place,
                                             std::uint64_t device_bytes) {
  if (place.shift > kMaxShift) {
    return make_error(Errc::corrupt, "md: the log of bad blocks has units of 2^{} bytes",
                      9 + unsigned{place.shift});
  }
  const std::uint64_t unit = kSector << place.shift;
  std::vector<Extent> ranges;
  for (std::size_t at = 0; at + 8 <= std::min<std::size_t>(log.size(), place.bytes); at += 8) {
    const auto entry = load_le<std::uint64_t>(log, at);
    if (entry == kEnd) break;
    const std::uint64_t start = entry >> kLengthBits;
    const std::uint64_t length = entry & kLengthMask;
    if (length == 0 || start > device_bytes / unit ||
        !within(start * unit, length * unit, align_up(device_bytes, unit))) {
      return make_error(
          Errc::corrupt,
          "md: entry {} of the log of bad blocks, {} from {} on, is not on the device", at / 8,
          length, start);
    }
    ranges.push_back({start * unit, std::min(length * unit, device_bytes - start * unit)});
  }
  return joined(std::move(ranges));
}

Result<std::vector<std::byte>> serialise_bad_blocks(std::vector<Extent> ranges,
                                                    const BadBlockLog& place) {
  ASHLAR_ASSERT(place.shift <= kMaxShift);
  const std::uint64_t unit = kSector << place.shift;
  for (Extent& each : ranges) {
    const std::uint64_t end = align_up(each.end(), unit);
    each.offset = align_down(each.offset, unit);
    each.length = end - each.offset;
  }
  std::vector<std::byte> log(place.bytes, std::byte{0xff});
  std::size_t at = 0;
  for (const Extent& each : joined(std::move(ranges))) {
    for (std::uint64_t start = each.offset / unit; start < each.end() / unit;) {
      const std::uint64_t length = std::min(each.end() / unit - start, kMaxEntryUnits);
      if (at + 8 > log.size()) {
        return make_error(Errc::no_space, "md: the log of bad blocks is full, with {} entries",
                          at / 8);
      }
      store_le(ByteSpan(log), at, start << kLengthBits | length);
      at += 8;
      start += length;
    }
  }
  return log;
}

}  // namespace ashlar::md
