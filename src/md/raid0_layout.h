// Members one after another (linear), and in stripes (raid0).
//
// Source: the kernel's drivers/md/md-linear.c and drivers/md/raid0.c.
//
// THREAD: any; values, without allocation after make().
#pragma once

#include <algorithm>
#include <cstdint>
#include <string>
#include <vector>

#include "base/divisor.h"
#include "base/result.h"
#include "md/place.h"

namespace ashlar::md {

// Each member's whole data, in the order of roles. Where the superblock has a chunk ("rounding"),
// members count in whole chunks.
class LinearLayout {
 public:
  // Errors: invalid, with a sentence.
  static Result<LinearLayout> make(const Geometry& geometry);

  std::uint64_t array_bytes() const noexcept { return ends_.back(); }
  // REQUIRES: offset < array_bytes(), here and in all layouts.
  Place place(std::uint64_t offset) const noexcept {
    const auto end = std::upper_bound(ends_.begin(), ends_.end(), offset);
    const auto role = static_cast<std::uint32_t>(end - ends_.begin());
    return {role, offset - start_of(role), *end - offset};
  }
  Content content(std::uint32_t role, std::uint64_t offset) const noexcept {
    if (offset >= ends_[role] - start_of(role)) return {};
    return {Content::Kind::data, start_of(role) + offset, 0};
  }

 private:
  std::uint64_t start_of(std::uint32_t role) const noexcept {
    return role == 0 ? 0 : ends_[role - 1];
  }

  std::vector<std::uint64_t> ends_;  // in the array, by role
};

// Chunks in turn over all members; where the short ones are full, a new zone begins, over those
// that have room left.
//
//   zone 0   | 0 1 2 |   all members
//            | 3 4 5 |
//   zone 1   | 6 . 7 |   original layout; the alternate one may begin with another member
//
// There are two layouts from the second zone on. Kernels before 3.14 took (chunk in the array) mod
// (members of the zone), later ones (chunk in the zone) mod it; superblocks say which since 2019.
// Where one does not, and it matters, the kernel asks for a parameter, and this refuses.
class Raid0Layout {
 public:
  static constexpr std::uint32_t kOriginal = 1;
  static constexpr std::uint32_t kAlternate = 2;

  static Result<Raid0Layout> make(const Geometry& geometry);

  std::uint64_t array_bytes() const noexcept { return array_bytes_; }
  std::size_t zones() const noexcept { return zones_.size(); }
  Place place(std::uint64_t offset) const noexcept {
    const Zone* zone = zones_.data();
    while (offset >= zone->end) ++zone;
    const std::uint64_t chunk = chunk_.quotient(offset);
    const std::uint64_t within = offset - chunk * chunk_.value();
    const std::uint64_t in_zone = chunk - zone->first_chunk;
    const std::uint64_t row = zone->members.quotient(in_zone);
    std::uint64_t turn = in_zone - row * zone->members.value() + zone->shift;
    if (turn >= zone->members.value()) turn -= zone->members.value();
    return {roles_[zone->first_role + turn], zone->member_start + row * chunk_.value() + within,
            chunk_.value() - within};
  }
  Content content(std::uint32_t role, std::uint64_t offset) const noexcept;

 private:
  struct Zone {
    std::uint64_t end;           // in the array
    std::uint64_t first_chunk;   // of the array
    std::uint64_t member_start;  // in each of its members
    std::uint64_t member_end;
    std::uint64_t shift;     // original layout: the member with which it begins
    std::size_t first_role;  // in roles_
    Divisor members;
  };

  explicit Raid0Layout(std::uint64_t chunk_bytes) : chunk_(chunk_bytes) {}
  void add_zones(const std::vector<std::uint64_t>& sizes);

  Divisor chunk_;
  std::uint64_t array_bytes_ = 0;
  std::vector<Zone> zones_;
  std::vector<std::uint32_t> roles_;  // of each zone
};

}  // namespace ashlar::md
