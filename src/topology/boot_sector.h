// The first sector of a disk, as far as more than one partition scheme must understand it.
//
// Three schemes meet in sector 0. mbr reads its own table there; gpt wants to know whether the
// table is a protective one; bsdlabel must keep off a disk that has any table at all. Layout, as
// in the UEFI specification 2.10, section 5.2:
//
//   0      440    446   462   478   494   510
//   | code | sig. |  1  |  2  |  3  |  4  | 55 aa |     sig.: disk signature, 4 bytes at 440
//
//   an entry: boot flag 1 | first CHS 3 | type 1 | last CHS 3 | first sector 4 | sectors 4
//
// THREAD: values without state.
#pragma once

#include <array>
#include <cstdint>

#include "base/bytes.h"

namespace ashlar {

inline constexpr std::size_t kBootSectorBytes = 512;
inline constexpr std::uint8_t kProtectiveType = 0xee;

struct BootSectorSlot {
  std::uint8_t boot_flag = 0;
  std::uint8_t type = 0;
  std::uint32_t first_sector = 0;
  std::uint32_t sectors = 0;  // 0: the slot is not used
};

struct BootSector {
  bool blank = false;      // every byte is zero
  bool signature = false;  // 55 aa at byte 510
  // Boot flags are all 0 or 0x80. In the boot sector of a file system the same bytes are code or
  // text, so this is what tells a table from one, as in Linux.
  bool boot_flags_valid = false;
  std::uint32_t disk_signature = 0;
  std::array<BootSectorSlot, 4> slots;

  // A slot of type 0xee: the table's only purpose is to keep other tools off a GPT.
  bool protective() const noexcept;
  // A table of its own right: signature, valid boot flags, at least one slot in use, none of them
  // protective.
  bool is_partition_table() const noexcept;
};

// REQUIRES: `sector` holds at least kBootSectorBytes.
BootSector parse_boot_sector(ByteView sector);

}  // namespace ashlar
