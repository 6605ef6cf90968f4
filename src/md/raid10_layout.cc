// Reads the layout word of raid10, and finds what lies where on a member.
#include "md/raid10_layout.h"

#include <algorithm>
#include <bit>

#include "base/bytes.h"
#include "md/units.h"

namespace ashlar::md {
namespace {

constexpr unsigned kSetsShift = 17;

struct Word {
  std::uint32_t near;
  std::uint32_t far;
  bool offset;
  std::uint32_t sets;
};

Word read_word(std::uint32_t layout) {
  return {layout & 255, layout >> 8 & 255, (layout & kOffsetBit) != 0, layout >> kSetsShift};
}

Result<void> check(const Geometry& geometry, const Word& word) {
  const std::uint64_t copies = std::uint64_t{word.near} * word.far;
  if (word.sets > 2 || copies < 2 || copies > geometry.raid_disks) {
    return make_error(Errc::invalid, "layout {:#x} of raid10 over {} members is not known",
                      geometry.layout, geometry.raid_disks);
  }
  if (!is_power_of_two(geometry.chunk_bytes) || geometry.chunk_bytes < kPage) {
    return make_error(Errc::invalid, "a chunk of {} bytes is no power of two of at least {}",
                      geometry.chunk_bytes, kPage);
  }
  if (geometry.component_bytes > kMaxArrayBytes / geometry.raid_disks) {
    return make_error(Errc::invalid, "the array is too long");
  }
  if (word.offset && word.far > 1 && geometry.raid_disks % word.near != 0) {
    return make_error(Errc::invalid,
                      "layout {:#x} of raid10 over {} members puts two chunks in one place",
                      geometry.layout, geometry.raid_disks);
  }
  return {};
}

// Members in a set, from which a far copy does not leave.
std::uint64_t set_disks(const Geometry& geometry, const Word& word) {
  switch (word.sets) {
    case 1:  // A first try, which the kernel still reads.
      return geometry.raid_disks / word.far;
    case 2:
      return std::uint64_t{word.far} * word.near;
    default:
      return geometry.raid_disks;
  }
}

}  // namespace

// A copy is `near` members further on, around the set. What does not fill a set is part of the last
// one; the kernel takes a member as in it that comes from the set before by its step, and then two
// columns may lead to one member.
Result<void> Raid10Layout::make_far_roles(std::uint64_t set) {
  const std::uint64_t disks = disks_.value();
  const std::uint64_t rest = disks % set;
  const std::uint64_t last_start = (disks / set - 1) * set;
  std::vector<std::uint64_t> role(disks);
  for (std::uint64_t i = 0; i < disks; ++i) role[i] = i;
  for (std::uint32_t far = 1; far < far_; ++far) {
    std::vector<bool> taken(disks);
    for (std::uint64_t& each : role) {
      const std::uint64_t set_start = each / set * set;
      each += near_;
      each = rest != 0 && each > last_start ? (each - last_start) % (set + rest) + last_start
                                            : each % set + set_start;
      if (each >= disks || taken[each]) {
        return make_error(Errc::invalid,
                          "raid10 of {} near and {} far copies in sets over {} "
                          "members puts two chunks in one place",
                          near_, far_, disks);
      }
      taken[each] = true;
      far_roles_.push_back(static_cast<std::uint32_t>(each));
    }
  }
  return {};
}

Result<Raid10Layout> Raid10Layout::make(const Geometry& geometry) {
  const Word word = read_word(geometry.layout);
  if (auto checked = check(geometry, word); !checked) return checked.error();
  Raid10Layout layout(geometry.raid_disks, word.near, word.far);
  layout.offset_ = word.offset;
  layout.sets_ = word.sets != 0;
  layout.shift_ = static_cast<unsigned>(std::countr_zero(geometry.chunk_bytes));
  if (auto made = layout.make_far_roles(set_disks(geometry, word)); !made) return made.error();

  layout.rows_ = (geometry.component_bytes >> layout.shift_) / word.far;
  layout.chunks_ = layout.rows_ * geometry.raid_disks / word.near;
  if (layout.chunks_ == 0) return make_error(Errc::invalid, "the members have no room for a chunk");
  const std::uint64_t copies = layout.chunks_ * layout.copies();
  layout.member_chunks_ = (copies + geometry.raid_disks - 1) / geometry.raid_disks;
  layout.row_step_ = word.offset ? word.far : 1;
  layout.far_step_ = word.offset ? 1 : layout.member_chunks_ / word.far;
  return layout;
}

Content Raid10Layout::content(std::uint32_t role, std::uint64_t offset) const noexcept {
  const std::uint64_t at = offset >> shift_;
  if (at >= member_chunks_) return {};
  const std::uint64_t far = offset_ ? at % far_ : at / far_step_;
  const std::uint64_t row = offset_ ? at / far_ : at % far_step_;
  if (far >= far_) return {};
  std::uint64_t column = 0;
  while (far_role(static_cast<std::uint32_t>(far), column) != role) ++column;
  const std::uint64_t slot = row * disks_.value() + column;
  const std::uint64_t chunk = slot / near_;
  if (chunk >= chunks_) return {};
  const std::uint64_t within = offset & ((std::uint64_t{1} << shift_) - 1);
  return {Content::Kind::data, (chunk << shift_) + within,
          static_cast<std::uint32_t>(slot % near_ * far_ + far)};
}

}  // namespace ashlar::md
