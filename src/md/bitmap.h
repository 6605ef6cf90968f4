// The write-intent bitmap of an array: a header, and a bit for each chunk of what is kept in sync.
// A set bit says that the copies of a chunk, or its parity, may differ.
//
//   | header 256 | bits, the lowest of each byte first | room |
//
// Source: struct bitmap_super_s in linux/drivers/md/md-bitmap.h and md_bitmap_read_sb in
// drivers/md/md-bitmap.c. Version 3 is in the byte order of the machine, which is ours here, 4 is
// little-endian; 5 (cluster) and 6 (lockless) are recognised and refused.
//
// THREAD: any; pure functions over values.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/extent.h"
#include "md/superblock.h"

namespace ashlar::md {

inline constexpr std::size_t kBitmapHeaderBytes = 256;
// Header and bits are no longer than this: mdadm keeps less than 128 MiB before the data.
inline constexpr std::uint64_t kMaxBitmapBytes = 128 * kMiB;

struct BitmapHeader {
  std::uint32_t version = 4;
  Uuid set_uuid{};
  // Equal to the superblock's, or one more: written before it.
  std::uint64_t events = 0;
  // The array's events when bits were last cleared, which happens while no member is missing. A
  // member with at least as many events is brought up to date by the set bits alone.
  std::uint64_t events_cleared = 0;
  std::uint64_t sync_bytes = 0;  // what the bits cover
  bool stale = false;            // the bits are out of date: all must be taken as set
  bool write_error = false;
  std::uint64_t chunk_bytes = 0;
  std::uint32_t daemon_sleep_seconds = 5;
  std::uint32_t write_behind = 0;    // writes that may be outstanding to write-mostly members
  std::uint64_t reserved_bytes = 0;  // room set aside for header and bits; 0: not said
  std::vector<std::byte> raw;        // as it was read; empty for a new one

  std::uint64_t bits() const noexcept {
    return chunk_bytes == 0 ? 0 : sync_bytes / chunk_bytes + (sync_bytes % chunk_bytes != 0);
  }
  // Of header and bits.
  std::uint64_t total_bytes() const noexcept { return kBitmapHeaderBytes + (bits() + 7) / 8; }
};

// Reads the header, of which `room_bytes` may be header and bits (bitmap_room_bytes).
// Errors: not_found without a header; unsupported; corrupt, with what is wrong.
// ENSURES: total_bytes() is at most room_bytes and kMaxBitmapBytes; the chunk is a power of two.
Result<BitmapHeader> parse_bitmap(ByteView header, std::uint64_t room_bytes);

// kBitmapHeaderBytes. What was read stays where no field says otherwise.
std::vector<std::byte> serialise_bitmap(const BitmapHeader& header);

// Empty where the bits can be trusted for the array with this superblock, whose synced part has
// `sync_bytes` (Layout::sync_bytes); else a sentence on why all must be taken as set.
// Errors: corrupt where the bitmap is another array's: the kernel does not start it then.
Result<std::string> distrust_bitmap(const BitmapHeader& header, const Superblock& superblock,
                                    std::uint64_t sync_bytes);

// The ranges of set bits, in bytes of what the bitmap covers, sorted, with neighbours joined and
// the last one cut at sync_bytes. REQUIRES: `bits` has (header.bits() + 7) / 8 bytes.
std::vector<Extent> bitmap_ranges(const BitmapHeader& header, ByteView bits);

// Sets, or clears, the bits of all chunks that a range touches; to clear, of those that lie within
// it. REQUIRES: as above; the range lies within sync_bytes.
void set_bitmap_range(const BitmapHeader& header, ByteSpan bits, const Extent& range);
void clear_bitmap_range(const BitmapHeader& header, ByteSpan bits, const Extent& range);

}  // namespace ashlar::md
