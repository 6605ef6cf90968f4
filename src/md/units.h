// The units that md counts in on disks, and what more than one of its sources knows.
#pragma once

#include <cstdint>

namespace ashlar::md {

inline constexpr std::uint64_t kSector = 512;  // bytes
inline constexpr std::uint64_t kPage = 4096;   // bytes; chunks of raid4, 5, 6 and 10 are whole ones

// Of the layout word of raid10: copies lie in the same chunk of the next devices, not far away.
inline constexpr std::uint32_t kOffsetBit = 1 << 16;

}  // namespace ashlar::md
