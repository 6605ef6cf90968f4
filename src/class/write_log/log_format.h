// The on-disk format of dm-log-writes, version 1: what this class writes, and what the kernel's own
// tools (replay-log) read. All numbers are little-endian; a sector is as long as the superblock
// says.
//
//   sector 0    superblock: magic 8, version 8, entries 8, bytes of a sector 4
//   then        [entry: sector 8, sectors 8, flags 8, data_len 8, data of a mark] one sector
//               [the bytes that were written: `sectors` sectors]   not for discards
//   ...         the next entry
//
// Source: Linux, Documentation/admin-guide/device-mapper/log-writes.rst, and the structures
// log_write_super and log_write_entry of drivers/md/dm-log-writes.c.
#pragma once

#include <cstdint>

#include "base/bytes.h"

namespace ashlar::write_log {

inline constexpr std::uint64_t kMagic = 0x6a736677736872;
inline constexpr std::uint64_t kVersion = 1;

inline constexpr std::uint64_t kFlushFlag = 1;
inline constexpr std::uint64_t kFuaFlag = 2;
inline constexpr std::uint64_t kDiscardFlag = 4;
inline constexpr std::uint64_t kMarkFlag = 8;
inline constexpr std::uint64_t kMetadataFlag = 16;

inline constexpr std::size_t kSuperBytes = 28;
inline constexpr std::size_t kEntryBytes = 32;

struct Super {
  std::uint64_t entries = 0;
  std::uint32_t sector_bytes = 0;
};

// One entry's header. Places and lengths are in sectors of the logged device.
struct Header {
  std::uint64_t sector = 0;
  std::uint64_t sectors = 0;
  std::uint64_t flags = 0;
  std::uint64_t data_length = 0;  // bytes of a mark, which follow the header in its sector

  bool has(std::uint64_t flag) const { return (flags & flag) != 0; }
  // Whether the bytes of `sectors` sectors follow in the log.
  bool has_bytes() const { return sectors != 0 && !has(kDiscardFlag); }
};

// REQUIRES: `into` is zeroed and holds kSuperBytes.
inline void put_super(const Super& super, ByteSpan into) {
  store_le(into, 0, kMagic);
  store_le(into, 8, kVersion);
  store_le(into, 16, super.entries);
  store_le(into, 24, super.sector_bytes);
}

// REQUIRES: `into` is zeroed and holds kEntryBytes.
inline void put_header(const Header& header, ByteSpan into) {
  store_le(into, 0, header.sector);
  store_le(into, 8, header.sectors);
  store_le(into, 16, header.flags);
  store_le(into, 24, header.data_length);
}

}  // namespace ashlar::write_log
