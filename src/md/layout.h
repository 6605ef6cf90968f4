// Where the bytes of an array lie, whatever its level.
//
// A class that serves one level all the time asks that level's layout (parity(), raid10(), ...);
// the functions here are for those who do not know.
//
// THREAD: any; values, without allocation after make().
#pragma once

#include <string>
#include <variant>
#include <vector>

#include "md/parity_layout.h"
#include "md/raid0_layout.h"
#include "md/raid10_layout.h"

namespace ashlar::md {

// raid1: every member holds the array.
class MirrorLayout {
 public:
  static Result<MirrorLayout> make(const Geometry& geometry);

  std::uint64_t array_bytes() const noexcept { return bytes_; }
  std::uint32_t copies() const noexcept { return copies_; }
  Place place(std::uint64_t offset, std::uint32_t copy = 0) const noexcept {
    return {copy, offset, bytes_ - offset};
  }
  Content content(std::uint32_t role, std::uint64_t offset) const noexcept {
    if (offset >= bytes_) return {};
    return {Content::Kind::data, offset, role};
  }

 private:
  MirrorLayout(std::uint64_t bytes, std::uint32_t copies) : bytes_(bytes), copies_(copies) {}

  std::uint64_t bytes_;
  std::uint32_t copies_;
};

class Layout {
 public:
  // Errors: invalid, with a sentence; unsupported for a level that is not one of md's arrays.
  static Result<Layout> make(const Geometry& geometry);

  // As long as the kernel makes it.
  std::uint64_t array_bytes() const noexcept;
  // The bytes that a resync, and so a bitmap, covers: of a member (raid1, 4, 5, 6), of the array
  // (raid10), or none.
  std::uint64_t sync_bytes() const noexcept;
  // Full copies of the data: 1 but for raid1 and raid10.
  std::uint32_t copies() const noexcept;

  // REQUIRES: offset < array_bytes(), copy < copies(). Parity is not a copy.
  Place place(std::uint64_t offset, std::uint32_t copy = 0) const noexcept;
  // What a member holds. REQUIRES: role < raid_disks.
  Content content(std::uint32_t role, std::uint64_t offset) const noexcept;

  // Empty where the members in `present` (by role) have all data between them; else a sentence on
  // what is lost.
  std::string lost_without(const std::vector<bool>& present) const;
  // True where losing a member loses nothing but parity.
  bool only_parity(std::uint32_t role) const noexcept;

  const LinearLayout* linear() const noexcept { return std::get_if<LinearLayout>(&layout_); }
  const Raid0Layout* raid0() const noexcept { return std::get_if<Raid0Layout>(&layout_); }
  const MirrorLayout* mirror() const noexcept { return std::get_if<MirrorLayout>(&layout_); }
  const Raid10Layout* raid10() const noexcept { return std::get_if<Raid10Layout>(&layout_); }
  const ParityLayout* parity() const noexcept { return std::get_if<ParityLayout>(&layout_); }

 private:
  using Any = std::variant<LinearLayout, Raid0Layout, MirrorLayout, Raid10Layout, ParityLayout>;
  explicit Layout(Any layout) : layout_(std::move(layout)) {}

  Any layout_;
};

}  // namespace ashlar::md
