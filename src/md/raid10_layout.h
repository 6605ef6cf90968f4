// Copies of chunks over the members: raid10.
//
// Source: the kernel's drivers/md/raid10.c (setup_geo, calc_sectors, __raid10_find_phys) and the
// man page md(4). The layout word is near | far << 8 | offset << 16 | sets << 17.
//
//   near 2 of 3      far 2 of 3       offset 2 of 3
//   | A A B |        | A B C |        | A B C |
//   | B C C |        | D E F |        | C A B |
//   | D D E |          ...            | D E F |
//                    | C A B |        | F D E |
//                    | F D E |
//
// `sets` (bits 17 and 18) keeps the far copies within sets of members instead of turning over all
// of them.
//
// THREAD: any; values, without allocation after make().
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/divisor.h"
#include "base/result.h"
#include "md/place.h"

namespace ashlar::md {

class Raid10Layout {
 public:
  // Errors: invalid, with a sentence: what the kernel refuses, and those combinations in which its
  // arithmetic would put two chunks in one place (near copies that wrap around, with offset copies
  // or with sets of unequal size).
  static Result<Raid10Layout> make(const Geometry& geometry);

  std::uint64_t array_bytes() const noexcept { return chunks_ << shift_; }
  // What is used of each member.
  std::uint64_t member_bytes() const noexcept { return member_chunks_ << shift_; }
  std::uint32_t copies() const noexcept { return near_ * far_; }
  std::uint32_t near_copies() const noexcept { return near_; }
  bool sets() const noexcept { return sets_; }

  // The copies are counted as the kernel counts them: the far ones of the first near one come next.
  Place place(std::uint64_t offset, std::uint32_t copy = 0) const noexcept {
    const std::uint64_t chunk = offset >> shift_;
    const std::uint64_t within = offset & ((std::uint64_t{1} << shift_) - 1);
    const std::uint32_t near = far_ == 1 ? copy : copy / far_;
    const std::uint32_t far = far_ == 1 ? 0 : copy - near * far_;
    const std::uint64_t slot = chunk * near_ + near;
    const std::uint64_t row = disks_.quotient(slot);
    const std::uint64_t column = slot - row * disks_.value();
    return {far_role(far, column), ((row * row_step_ + far * far_step_) << shift_) + within,
            (std::uint64_t{1} << shift_) - within};
  }
  Content content(std::uint32_t role, std::uint64_t offset) const noexcept;

  // Which role holds the far copy `far` of what the member `column` holds first.
  std::uint32_t far_role(std::uint32_t far, std::uint64_t column) const noexcept {
    return far == 0 ? static_cast<std::uint32_t>(column)
                    : far_roles_[(far - 1) * disks_.value() + column];
  }

 private:
  Raid10Layout(std::uint32_t disks, std::uint32_t near, std::uint32_t far)
      : disks_(disks), near_(near), far_(far) {}
  Result<void> make_far_roles(std::uint64_t set_disks);

  Divisor disks_;
  std::uint32_t near_;
  std::uint32_t far_;
  bool offset_ = false;
  bool sets_ = false;
  unsigned shift_ = 0;          // of a chunk
  std::uint64_t row_step_ = 1;  // chunks on a member from one row to the next
  std::uint64_t far_step_ = 0;  // and from one copy to the next
  std::uint64_t rows_ = 0;
  std::uint64_t chunks_ = 0;  // of the array
  std::uint64_t member_chunks_ = 0;
  std::vector<std::uint32_t> far_roles_;  // for each far copy but the first, by column
};

}  // namespace ashlar::md
