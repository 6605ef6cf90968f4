// The superblocks of Linux md arrays, versions 0.90, 1.0, 1.1 and 1.2, as one neutral structure.
//
//   0.90 |        data        | superblock |     64 KiB aligned, 64 to 128 KiB before the end
//   1.0  |        data        | superblock |      4 KiB aligned,  8 to  12 KiB before the end
//   1.1  | superblock |        data        |      byte 0
//   1.2  |    | superblock |   data        |      byte 4096
//
// The formats are from linux/raid/md_p.h; what is accepted follows super_90_load, super_1_load and
// the _validate functions of the kernel's drivers/md/md.c, and mdadm's super0.c and super1.c. Where
// the kernel trusts a number that could lead outside the device, this refuses it.
//
// Everything is in bytes here, and in sectors of 512 bytes (0.90: KiB) on the disk.
//
// THREAD: any; pure functions over values.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"

namespace ashlar::md {

inline constexpr std::size_t kSuperblockBytes = 4096;
// A device's number is below this: what fits behind the fixed part of a version-1 superblock.
inline constexpr std::uint32_t kMaxDevices = (kSuperblockBytes - 256) / 2;
// The same for 0.90.
inline constexpr std::uint32_t kMaxDevices90 = 27;

enum class Version : std::uint8_t { v0_90, v1_0, v1_1, v1_2 };
inline constexpr std::array kVersions = {Version::v1_2, Version::v1_1, Version::v1_0,
                                         Version::v0_90};
// "1.2".
std::string_view to_string(Version version) noexcept;

// Levels as they are on the disk. Those below linear are recognised and refused.
inline constexpr std::int32_t kLevelLinear = -1;
inline constexpr std::int32_t kLevelMultipath = -4;
inline constexpr std::int32_t kLevelFaulty = -5;
inline constexpr std::int32_t kLevelContainer = -100;
// "raid5", "linear"; "level 7" for one that md does not know.
std::string level_name(std::int32_t level);

// What the roles table says of a device that has no place in the array. Smaller values, up to
// kRoleMax, are places.
inline constexpr std::uint16_t kRoleSpare = 0xffff;
inline constexpr std::uint16_t kRoleFaulty = 0xfffe;  // failed, removed, or never there
inline constexpr std::uint16_t kRoleJournal = 0xfffd;
inline constexpr std::uint16_t kRoleMax = 0xff00;

// An offset for "all of it": nothing is to be resynced, or to be recovered.
inline constexpr std::uint64_t kAll = ~std::uint64_t{0};

using Uuid = std::array<std::byte, 16>;

// Room for a list of bad blocks (bad_blocks.h).
struct BadBlockLog {
  std::int64_t offset_bytes = 0;  // from the superblock; may be negative
  std::uint32_t bytes = 0;        // 0: there is none
  std::uint8_t shift = 0;         // a unit of the list is 512 << shift bytes
  bool in_use = false;            // the list has entries, and must be honoured

  friend bool operator==(const BadBlockLog&, const BadBlockLog&) = default;
};

struct Superblock {
  Version version = Version::v1_2;

  // The array.
  Uuid set_uuid{};
  std::string name;  // version 1; up to 32 bytes, of any kind
  std::int32_t level = 0;
  std::uint32_t layout = 0;         // as on the disk; layout.h knows what it means
  bool raid0_layout_known = false;  // level 0: `layout` was written by somebody who knew it
  std::uint64_t chunk_bytes = 0;
  std::uint32_t raid_disks = 0;
  std::uint64_t component_bytes = 0;  // used of each member; may be 0 for linear and raid0
  std::uint64_t created_seconds = 0;

  // This device.
  std::optional<Uuid> device_uuid;  // version 1
  std::uint64_t superblock_offset_bytes = 0;
  std::uint64_t data_offset_bytes = 0;
  std::uint64_t data_bytes = 0;     // from data_offset_bytes; for members of linear and raid0
  std::uint32_t device_number = 0;  // the index into `roles`
  bool write_mostly = false;
  bool failfast = false;
  // Takes over the role of a device that is still there.
  bool replacement = false;
  // Only bytes below this are valid (kAll: it is in sync). Version 1 alone can say so.
  std::uint64_t recovery_offset_bytes = kAll;
  bool recovery_by_bitmap = false;  // what the recovery still lacks is in the bitmap
  std::uint32_t corrected_reads = 0;
  BadBlockLog bad_blocks;  // version 1

  // The state of the array, as this device saw it last.
  std::uint64_t events = 0;
  std::uint64_t updated_seconds = 0;
  // Below this the array is in sync; kAll: it is clean, 0: it is dirty, or was never synced.
  std::uint64_t resync_offset_bytes = kAll;
  // Indexed by device number.
  std::vector<std::uint16_t> roles;
  bool has_bitmap = false;
  std::int64_t bitmap_offset_bytes = 0;  // from the superblock; 0.90: always kSuperblockBytes

  // Version 1: the feature bits as they were read, for those that cannot be changed here.
  std::uint32_t features_read = 0;
  // A sentence where this is a good superblock of something that is not supported: a reshape in
  // progress, a journal, PPL, a cluster, unknown features, levels that are no RAID. Such an array
  // must not be assembled.
  std::string unsupported;
  // The block as it was read; empty for a new superblock.
  std::vector<std::byte> raw;

  bool is_version_1() const noexcept { return version != Version::v0_90; }
  // This device's place, or one of the kRole constants.
  std::uint16_t role() const noexcept {
    return device_number < roles.size() ? roles[device_number] : kRoleSpare;
  }
  bool clean() const noexcept { return resync_offset_bytes == kAll; }
  // Where bitmap and bad-block log start on the device. REQUIRES: there is one.
  std::uint64_t bitmap_start_bytes() const noexcept {
    return superblock_offset_bytes + static_cast<std::uint64_t>(bitmap_offset_bytes);
  }
  std::uint64_t bad_blocks_start_bytes() const noexcept {
    return superblock_offset_bytes + static_cast<std::uint64_t>(bad_blocks.offset_bytes);
  }
};

// Where the superblock of `version` lies on a device of this size; nullopt where the device is too
// small to hold one with data.
std::optional<std::uint64_t> superblock_offset(Version version, std::uint64_t device_bytes);

// Reads the kSuperblockBytes at superblock_offset(version, device_bytes).
//
// Errors: not_found where no superblock of this version is; corrupt where one is, and its checksum
// or its numbers are wrong; unsupported where it is from a big-endian machine.
// ENSURES: data, bitmap and bad-block log lie on the device and do not overlap the superblock; the
// own role is below raid_disks or one of the constants. Not where `unsupported` is set: then only
// the identity (UUIDs, name, level, events, roles) is meant to be used.
Result<Superblock> parse_superblock(ByteView block, Version version, std::uint64_t device_bytes);

// kSuperblockBytes to be written at superblock_offset_bytes: the fields, the right checksum, and
// for the rest what was read. One that was parsed and is unchanged gives the bytes that were read.
//
// In 0.90 the counts of devices follow from the roles, and a descriptor's major and minor numbers
// stay as they are.
// REQUIRES: sizes and offsets in whole sectors (0.90 components: KiB); at most kMaxDevices roles
// (0.90: kMaxDevices90).
std::vector<std::byte> serialise_superblock(const Superblock& superblock);

// The bytes that may hold a bitmap at the superblock's bitmap offset, before data, the bad-block
// log, the superblock or the end of the device begin. REQUIRES: has_bitmap.
std::uint64_t bitmap_room_bytes(const Superblock& superblock, std::uint64_t device_bytes);

// Of superblocks found on one device, the one that counts: the array that was created last, as
// mdadm chooses. Old ones stay where another version did not overwrite them. REQUIRES: not empty.
std::size_t newest_superblock(const std::vector<Superblock>& found);

// As mdadm prints it: "01234567:89abcdef:01234567:89abcdef".
std::string uuid_text(const Superblock& superblock);

}  // namespace ashlar::md
