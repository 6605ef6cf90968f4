// Members of arrays for tests: superblocks on disks that are otherwise empty.
#pragma once

#include <algorithm>

#include "base/bytes.h"
#include "md/superblock.h"
#include "topology/parameters.h"

namespace ashlar::test {

// An array whose members are told apart by their numbers.
struct TestArray {
  std::int32_t level = 1;
  std::uint32_t members = 2;
  std::uint32_t layout = 0;
  std::uint64_t chunk_bytes = 16 * kKiB;
  // Of a disk: what lies before the data, and the data.
  std::uint64_t data_offset_bytes = 64 * kKiB;
  std::uint64_t component_bytes = 128 * kKiB;  // not of raid0 and linear: all there is
};

inline md::Superblock superblock_of(const TestArray& array, std::uint32_t number,
                                    std::uint64_t disk_bytes) {
  md::Superblock superblock;
  superblock.set_uuid.fill(std::byte{0x5a});
  superblock.device_uuid.emplace().fill(std::byte(number + 1));
  superblock.name = "here:test";
  superblock.level = array.level;
  superblock.layout = array.layout;
  superblock.raid0_layout_known = array.level == 0;
  superblock.chunk_bytes = array.level == 1 ? 0 : array.chunk_bytes;
  superblock.raid_disks = array.members;
  superblock.component_bytes = array.level > 0 ? array.component_bytes : 0;
  superblock.superblock_offset_bytes = 4096;
  superblock.data_offset_bytes = array.data_offset_bytes;
  superblock.data_bytes = disk_bytes - array.data_offset_bytes;
  superblock.device_number = number;
  superblock.events = 20;
  for (std::uint32_t i = 0; i < array.members; ++i) {
    superblock.roles.push_back(static_cast<std::uint16_t>(i));
  }
  return superblock;
}

inline void put_superblock(const md::Superblock& superblock, ByteSpan disk) {
  const auto block = md::serialise_superblock(superblock);
  std::copy(block.begin(), block.end(),
            disk.begin() + static_cast<std::ptrdiff_t>(superblock.superblock_offset_bytes));
}

// What opens an array for writing in tests.
inline ParameterTexts writable_array() { return {{"writable_without_records", "true"}}; }

}  // namespace ashlar::test
