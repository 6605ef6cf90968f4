// The log of bad blocks of one member: where it could not be written, so that what is there must
// not be read. (What belongs there is on other members.)
//
// A list of 64-bit numbers, (start << 10 | length) in units of 512 << shift bytes, counted from
// where the device begins; all ones end it.
//
// Source: super_1_load, super_1_sync and rdev_set_badblocks in the kernel's drivers/md/md.c, and
// include/linux/badblocks.h.
//
// THREAD: any; pure functions over values.
#pragma once

#include <cstdint>
#include <vector>

#include "base/extent.h"
#include "md/superblock.h"

namespace ashlar::md {

// Reads the log (superblock.bad_blocks, bad_blocks_start_bytes()): ranges of the device in bytes,
// sorted, with neighbours joined.
// Errors: corrupt where a range is empty or leads outside the device.
Result<std::vector<Extent>> parse_bad_blocks(ByteView log, const BadBlockLog& place,
                                             std::uint64_t device_bytes);

// The whole log. Ranges may be in any order, and are widened to whole units.
// Errors: no_space where the list does not fit; the member must be given up then, as the kernel
// does.
Result<std::vector<std::byte>> serialise_bad_blocks(std::vector<Extent> ranges,
                                                    const BadBlockLog& place);

}  // namespace ashlar::md
