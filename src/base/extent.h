// A run of bytes on a device.
#pragma once

#include <cstdint>

namespace ashlar {

struct Extent {
  std::uint64_t offset = 0;  // bytes
  std::uint64_t length = 0;  // bytes

  constexpr std::uint64_t end() const noexcept { return offset + length; }
  friend bool operator==(const Extent&, const Extent&) = default;
};

}  // namespace ashlar
