// Reads a GUID partition table, from whichever of its two copies is good.
//
//   LBA 0            1                2 ..                          .. last - 1   last
//   | protective MBR | primary header | primary entries | partitions | backup ...  | backup header
//   |
//
// Rules, from UEFI 2.10 section 5.3 and the behaviour of Linux (block/partitions/efi.c), and where
// Ashlar goes further because it also opens damaged disks:
// - Sector 0 must hold an MBR with a slot of type 0xee; others beside it make it a hybrid, and the
//   GPT wins. Without one a GPT is a leftover and not reported, with one exception: sector 0 is
//   all zero and a primary header is in its place (a doubt).
// - The primary copy is used where both its checksums match; else the backup, which is looked for
//   in the last sector and then where the damaged primary points (a doubt; Linux needs its
//   parameter "gpt" for it).
// - Sector size: the device's own, then 512 and 4096; the first with a whole primary copy wins,
//   else the first with a whole backup.
// - Entries may have any size that is a multiple of 8 from 128 on (Linux: 128 alone), in any number
//   up to kMaxGptArrayBytes in all; the number of a partition is its place in the array. An entry
//   that starts or ends past the last sector, or ends before it starts, is left out with a doubt.
// - The table of a disk that was larger is accepted with a doubt (Linux refuses it): the partitions
//   that are still whole are worth having.
#pragma once

#include <cstdint>

#include "base/result.h"
#include "topology/partition_table.h"
#include "topology/taste.h"

namespace ashlar {

// Partitions that are taken from one table. A real one has ten; each costs a device of its own.
inline constexpr std::uint32_t kMaxGptPartitions = 16384;

// Errors: not_found; corrupt where a protective MBR or a header says that this is a GPT and
// neither copy can be used; io where sector 0 cannot be read.
// CONTEXT: control thread. Holds up to three times kMaxGptArrayBytes while it runs.
Result<PartitionTable> read_gpt(TasteReader& reader);

}  // namespace ashlar
