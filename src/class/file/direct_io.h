// Whether a file is read and written past the page cache (O_DIRECT), and what that asks of
// requests.
//
// The rule of the class: one way for everything. A device that is written must not have some
// requests go through the page cache and others past it, or a cached copy may outlive what is on
// the disk. So a file is direct as a whole, with misaligned memory carried over an aligned buffer,
// or buffered as a whole.
#pragma once

#include <sys/stat.h>

#include <cstdint>
#include <string>
#include <string_view>

#include "base/result.h"

namespace ashlar {

enum class DirectWish : std::uint8_t { automatic, on, off };

struct DirectRule {
  bool direct = false;
  std::uint32_t memory_alignment = 1;  // of addresses; a power of two
  std::uint32_t offset_alignment = 1;  // of offsets and of each segment's length; a power of two
  std::string reason{};                // for people: "buffered: tmpfs keeps its files in memory"
};

// Decides for the open file `fd` (of type `status`) and a device with blocks of `block_bytes`, and
// sets or leaves O_DIRECT on the descriptor accordingly.
// Errors: unsupported, with the reason, when `wish` is on and it cannot be.
Result<DirectRule> choose_direct(int fd, const struct stat& status, std::uint32_t block_bytes,
                                 DirectWish wish, std::string_view path);

}  // namespace ashlar
