// The units that md counts in on disks, and of what its rules speak.
#pragma once

#include <cstdint>

namespace ashlar::md {

inline constexpr std::uint64_t kSector = 512;  // bytes
inline constexpr std::uint64_t kPage = 4096;   // bytes; chunks of raid4, 5, 6 and 10 are whole ones

}  // namespace ashlar::md
