// Reads an MBR partition table with its extended and logical partitions, as Linux reads it.
//
//   sector 0                     first EBR (the extended partition's first sector)
//   | p1 | p2 | p3 | extended |  ->  | data: p5 | link |  ->  | data: p6 | link |  -> ...
//
// Primary partitions keep their slot's number, 1 to 4; logical ones count from 5 in the order of
// the chain. In an EBR a data entry counts from the EBR itself, a link from the first EBR of the
// extended partition. Source of the rules: the behaviour of Linux, block/partitions/msdos.c.
//
// Partitions inside BSD slices get the numbers behind the logical ones; bsdlabel makes devices of
// them, and mbr says from where on to count (PartitionEntry::nested_number).
//
// What is not an MBR (Errc::not_found): no 55 aa; a boot flag that is neither 0 nor 0x80, which
// means the boot sector of a file system; a table without a used slot; an AIX label; a slot of
// type 0xee. The last belongs to gpt alone, hybrid or not: where the GPT behind it is lost, Linux
// shows no partitions rather than those of the hybrid, and so does Ashlar.
//
// What becomes a doubt: partitions that end (cut short) or start (left out) past the device's end,
// overlaps, EBRs that cannot be read or lack 55 aa (the chain ends there), a chain that comes back
// to itself (it ends there; Linux goes round until it runs out of numbers).
#pragma once

#include <cstdint>

#include "base/result.h"
#include "topology/partition_table.h"
#include "topology/taste.h"

namespace ashlar {

// Linux has room for partitions 1 to 255 and ignores what comes behind.
inline constexpr std::uint32_t kMaxMbrPartition = 255;
// Links that Linux follows from EBR to EBR without meeting a logical partition.
inline constexpr int kMaxEmptyLinks = 100;

// Sectors are the device's own (512 to 4096 bytes) unless only the other of 512 and 4096 makes
// sense: every partition inside the device, an EBR at the start of each extended partition.
// Errors: not_found, see above; corrupt where no partition lies on the device; io.
// CONTEXT: control thread.
Result<PartitionTable> read_mbr(TasteReader& reader);

}  // namespace ashlar
