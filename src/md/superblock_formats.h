// The two families of superblocks behind superblock.h. For superblock.cc alone.
//
// `decode` takes any bytes and checks nothing: so the serialiser can compare a structure with what
// its bytes said, and write only what has changed. `check` refuses what `decode` made of hostile
// bytes.
#pragma once

#include "md/superblock.h"
#include "md/units.h"

namespace ashlar::md {

inline constexpr std::uint32_t kMagic = 0xa92b4efc;
// Numbers of sectors from a disk are below this, so that sums of bytes do not overflow.
inline constexpr std::uint64_t kMaxSectors = std::uint64_t{1} << 53;

struct Format {
  // Fields but raw, unsupported and features_read of `out`. REQUIRES: kSuperblockBytes.
  void (*decode)(ByteView block, Superblock& out);
  // The checksum that belongs to the block.
  bool (*checksum_matches)(ByteView block);
  // Refuses contradictions, and sets `unsupported`.
  Result<void> (*check)(ByteView block, std::uint64_t device_bytes, Superblock& superblock);
  // Stores what differs from `before`, which was decoded from the same bytes.
  void (*encode)(const Superblock& superblock, const Superblock& before, ByteSpan block);
  void (*seal)(ByteSpan block);
};

extern const Format kFormat0;
extern const Format kFormat1;

// What both formats say of level, number of devices, chunk and component size.
Result<void> check_geometry(const Superblock& superblock, std::uint32_t max_devices);
// Sets `unsupported` where md knows the level, and it is not an array of blocks.
void check_level(Superblock& superblock);

}  // namespace ashlar::md
