// What a device that joins a running array is to say of itself.
//
// THREAD: any; pure functions over values.
#pragma once

#include <cstdint>

#include "base/result.h"
#include "md/superblock.h"

namespace ashlar::md {

// A superblock for a device of this size, laid out as the member with the superblock `like` is:
// data, bitmap and log of bad blocks at the same offsets, the superblock where its version has it.
// The log is empty. Errors: no_space where the device has not the room that the array's members
// use.
Result<Superblock> superblock_like(const Superblock& like, std::uint64_t device_bytes,
                                   const Uuid& device_uuid);

}  // namespace ashlar::md
