// Reads a BSD disklabel: on a bare disk, or inside a slice of an MBR. Shared by two classes:
// bsdlabel makes devices of it, mbr gives numbers to what lies in one slice behind another.
//
//   byte 0 of the label (FreeBSD sys/disk/bsd.h; all numbers little-endian):
//   0 magic 0x82564557 | 40 bytes per sector | 132 magic again | 136 checksum: xor of all 16-bit
//   words is 0 | 138 number of partitions | 148 partitions of 16 bytes: sectors 4, first sector 4,
//   fragment size 4, type 1, 3 more
//
// Where it lies: byte 64 (Alpha; what parted writes and Linux reads on a bare disk), byte 512
// (x86), or sector 1 of a device with larger sectors. In a slice: byte 512, or sector 1.
//
// Numbers, as Linux has them: on a bare disk the place in the label, `a` being 1 (osf.c). In a
// slice the partitions go on behind the disk's other ones, in the label's order, without a number
// for those that Linux passes over: type 0, the slice itself, and what reaches outside the slice
// (msdos.c). Unlike Linux, which reads 16 partitions in a slice and 18 on a bare disk, the whole
// label is read, with a doubt.
//
// Offsets in the label count
// - bare, at byte 64: from the start of the disk (Linux);
// - bare, elsewhere: from where partition `c` starts, as in FreeBSD: an image of a slice alone
// reads
//   as it would in its place;
// - FreeBSD slice: from the slice where partition `c` starts at 0, else from the disk;
// - NetBSD and OpenBSD slice: from the disk.
#pragma once

#include <cstdint>
#include <optional>

#include "base/result.h"
#include "topology/partition_table.h"
#include "topology/taste.h"

namespace ashlar {

// The most partitions that are believed: OpenBSD's 52 are the most that any system writes.
inline constexpr std::uint32_t kMaxBsdPartitions = 64;

enum class BsdFlavour : std::uint8_t { bare, freebsd, netbsd, openbsd };

// Nothing where the type is not that of a BSD slice.
std::optional<BsdFlavour> bsd_flavour(std::uint8_t mbr_type) noexcept;

// Where the device that is read lies on its disk.
struct BsdPlace {
  BsdFlavour flavour = BsdFlavour::bare;  // in a slice: by its MBR type, 0xa5, 0xa9 or 0xa6
  std::uint64_t slice_offset = 0;         // bytes from the start of the disk
  std::uint32_t first_number = 1;         // in a slice: the number of its first partition
};

// Extents count from the start of the device that is read, the slice if it is one.
// Errors: not_found where there is no magic, or where a bare disk has an MBR or a GPT, which
// Linux asks first; corrupt where the magic is there and the rest cannot be used; io.
// CONTEXT: control thread. Reads less than 8 KiB.
Result<PartitionTable> read_bsdlabel(TasteReader& reader, const BsdPlace& place = {});

}  // namespace ashlar
