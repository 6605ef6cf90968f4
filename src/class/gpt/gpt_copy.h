// One of the two copies of a GPT: a header, and the array of entries it points to.
//
//   header, from byte 0 of its sector (UEFI 2.10, section 5.3.2):
//   0 "EFI PART" | 8 revision | 12 header size | 16 header CRC-32 | 24 own LBA | 32 other LBA |
//   40 first usable LBA | 48 last usable LBA | 56 disk GUID | 72 LBA of the array |
//   80 number of entries | 84 size of an entry | 88 CRC-32 of the array
//
// THREAD: control thread.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/bytes.h"
#include "topology/taste.h"

namespace ashlar {

inline constexpr std::uint32_t kGptEntryBytes = 128;  // the least; a table may leave more room
// The largest array that is read: 128 Ki entries of 128 bytes. The format itself ends at 2^63
// bytes; both copies of the largest must fit into TasteReader's budget. Linux stops at 4 MiB.
inline constexpr std::uint64_t kMaxGptArrayBytes = 16 * kMiB;

struct GptCopy {
  enum class State : std::uint8_t {
    absent,   // no "EFI PART" where it was looked for
    damaged,  // "EFI PART", and something behind it is wrong
    valid,    // both checksums match and every number is within the device
  };

  State state = State::absent;
  std::string problem;  // why it is not valid, with the byte; without a layer's name

  std::uint64_t header_offset = 0;  // bytes
  std::uint32_t sector_bytes = 0;

  // From the header. Meaningful where the state is valid; `other_lba` is only a hint where it is
  // damaged.
  std::uint64_t other_lba = 0;
  std::uint64_t first_usable_lba = 0;
  std::uint64_t last_usable_lba = 0;
  std::string disk_guid;
  std::uint64_t array_lba = 0;
  std::uint32_t entry_count = 0;
  std::uint32_t entry_bytes = 0;
  std::uint32_t array_crc = 0;

  std::vector<std::byte> array;  // the entries as they are on the disk; only where valid

  bool valid() const noexcept { return state == State::valid; }
  // REQUIRES: valid(), index < entry_count. The first kGptEntryBytes of the entry.
  ByteView entry(std::uint32_t index) const;
};

// Reads and checks the copy whose header is in sector `lba` of `sector_bytes`. A header that
// cannot be read counts as absent, with the reader's sentence as the problem: the other copy is
// there for that case. Reads at most a sector and kMaxGptArrayBytes.
// REQUIRES: sector_bytes is a power of two, at least 512.
GptCopy read_gpt_copy(TasteReader& reader, std::uint32_t sector_bytes, std::uint64_t lba);

}  // namespace ashlar
