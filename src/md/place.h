// What every layout is made from, and what it answers.
#pragma once

#include <cstdint>
#include <vector>

namespace ashlar::md {

// Where a byte of an array lies. Offsets of members are counted from where their data begin.
struct Place {
  std::uint32_t role = 0;
  std::uint64_t offset_bytes = 0;
  // The bytes from here on that lie one after another on this member and in the array; at least 1.
  std::uint64_t run_bytes = 0;
};

// What lies at a byte of a member.
struct Content {
  enum class Kind : std::uint8_t { data, parity, syndrome, unused };
  Kind kind = Kind::unused;
  std::uint64_t array_offset_bytes = 0;  // data
  std::uint32_t copy = 0;                // data: which of the copies
};

// The numbers of the superblocks. Linear and raid0 take the size of each member's data, by role;
// the others one size for all.
struct Geometry {
  std::int32_t level = 0;
  std::uint32_t layout = 0;
  bool raid0_layout_known = false;
  std::uint64_t chunk_bytes = 0;
  std::uint32_t raid_disks = 0;
  std::uint64_t component_bytes = 0;
  std::vector<std::uint64_t> data_bytes;
};

// No array is longer, so that offsets are never negative for those who count with a sign.
inline constexpr std::uint64_t kMaxArrayBytes = (std::uint64_t{1} << 63) - 1;

}  // namespace ashlar::md
