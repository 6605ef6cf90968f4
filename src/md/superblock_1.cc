// Superblocks of version 1.0, 1.1 and 1.2: struct mdp_superblock_1 of linux/raid/md_p.h. They
// differ in their place alone. All numbers are little-endian.
#include <algorithm>

#include "md/superblock_formats.h"

namespace ashlar::md {
namespace {

constexpr std::size_t kMajorAt = 4;
constexpr std::size_t kFeaturesAt = 8;
constexpr std::size_t kPad0At = 12;
constexpr std::size_t kSetUuidAt = 16;
constexpr std::size_t kNameAt = 32;
constexpr std::size_t kNameBytes = 32;
constexpr std::size_t kCreatedAt = 64;
constexpr std::size_t kLevelAt = 72;
constexpr std::size_t kLayoutAt = 76;
constexpr std::size_t kSizeAt = 80;
constexpr std::size_t kChunkAt = 88;
constexpr std::size_t kRaidDisksAt = 92;
constexpr std::size_t kBitmapOffsetAt = 96;
constexpr std::size_t kDataOffsetAt = 128;
constexpr std::size_t kDataSizeAt = 136;
constexpr std::size_t kSuperOffsetAt = 144;
constexpr std::size_t kRecoveryOffsetAt = 152;
constexpr std::size_t kDeviceNumberAt = 160;
constexpr std::size_t kCorrectedReadsAt = 164;
constexpr std::size_t kDeviceUuidAt = 168;
constexpr std::size_t kDeviceFlagsAt = 184;
constexpr std::size_t kBadBlocksShiftAt = 185;
constexpr std::size_t kBadBlocksSizeAt = 186;
constexpr std::size_t kBadBlocksOffsetAt = 188;
constexpr std::size_t kUpdatedAt = 192;
constexpr std::size_t kEventsAt = 200;
constexpr std::size_t kResyncOffsetAt = 208;
constexpr std::size_t kChecksumAt = 216;
constexpr std::size_t kMaxDevAt = 220;
constexpr std::size_t kPad3At = 224;
constexpr std::size_t kPad3Bytes = 32;
constexpr std::size_t kRolesAt = 256;

constexpr std::uint32_t kBitmapOffset = 1;
constexpr std::uint32_t kRecoveryOffset = 2;
constexpr std::uint32_t kReshapeActive = 4;
constexpr std::uint32_t kBadBlocks = 8;
constexpr std::uint32_t kReplacement = 16;
constexpr std::uint32_t kReshapeBackwards = 32;
constexpr std::uint32_t kNewOffset = 64;
constexpr std::uint32_t kRecoveryBitmap = 128;
constexpr std::uint32_t kClustered = 256;
constexpr std::uint32_t kJournal = 512;
constexpr std::uint32_t kPpl = 1024 | 2048;
constexpr std::uint32_t kRaid0Layout = 4096;
constexpr std::uint32_t kKnownFeatures = 8191;

constexpr std::uint8_t kWriteMostlyFlag = 1;
constexpr std::uint8_t kFailfastFlag = 2;
// Seconds; above them are microseconds.
constexpr std::uint64_t kSecondsMask = (std::uint64_t{1} << 40) - 1;
// The kernel reads one page of bad blocks.
constexpr std::uint32_t kMaxBadBlocksBytes = 4096;
// The fewest sectors of data that the kernel accepts.
constexpr std::uint64_t kMinDataSectors = 10;

std::uint32_t checksum(ByteView block) {
  const std::size_t bytes =
      kRolesAt + 2 * std::min(load_le<std::uint32_t>(block, kMaxDevAt), kMaxDevices);
  std::uint64_t sum = 0;
  for (std::size_t at = 0; at + 4 <= bytes; at += 4) {
    if (at != kChecksumAt) sum += load_le<std::uint32_t>(block, at);
  }
  if (bytes % 4 == 2) sum += load_le<std::uint16_t>(block, bytes - 2);
  return static_cast<std::uint32_t>(sum) + static_cast<std::uint32_t>(sum >> 32);
}

Uuid load_uuid(ByteView block, std::size_t at) {
  Uuid uuid;
  std::copy_n(block.begin() + static_cast<std::ptrdiff_t>(at), uuid.size(), uuid.begin());
  return uuid;
}

void store_uuid(ByteSpan block, std::size_t at, const Uuid& uuid) {
  std::copy(uuid.begin(), uuid.end(), block.begin() + static_cast<std::ptrdiff_t>(at));
}

std::uint64_t bytes_of(std::uint64_t sectors) { return sectors == kAll ? kAll : sectors * kSector; }
std::uint64_t sectors_of(std::uint64_t bytes) { return bytes == kAll ? kAll : bytes / kSector; }

// A number of sectors with a sign.
std::int64_t load_place(ByteView block, std::size_t at) {
  return static_cast<std::int32_t>(load_le<std::uint32_t>(block, at)) *
         static_cast<std::int64_t>(kSector);
}
void store_place(ByteSpan block, std::size_t at, std::int64_t bytes) {
  const auto sectors = static_cast<std::int32_t>(bytes / static_cast<std::int64_t>(kSector));
  store_le<std::uint32_t>(block, at, static_cast<std::uint32_t>(sectors));
}

void decode_array(ByteView block, Superblock& out) {
  const auto features = load_le<std::uint32_t>(block, kFeaturesAt);
  out.set_uuid = load_uuid(block, kSetUuidAt);
  const auto* name = reinterpret_cast<const char*>(block.data()) + kNameAt;
  out.name.assign(name, std::find(name, name + kNameBytes, '\0'));
  out.level = static_cast<std::int32_t>(load_le<std::uint32_t>(block, kLevelAt));
  out.layout = load_le<std::uint32_t>(block, kLayoutAt);
  out.raid0_layout_known = (features & kRaid0Layout) != 0;
  out.chunk_bytes = load_le<std::uint32_t>(block, kChunkAt) * kSector;
  out.raid_disks = load_le<std::uint32_t>(block, kRaidDisksAt);
  out.component_bytes = load_le<std::uint64_t>(block, kSizeAt) * kSector;
  out.created_seconds = load_le<std::uint64_t>(block, kCreatedAt) & kSecondsMask;
  out.events = load_le<std::uint64_t>(block, kEventsAt);
  out.updated_seconds = load_le<std::uint64_t>(block, kUpdatedAt) & kSecondsMask;
  out.resync_offset_bytes = bytes_of(load_le<std::uint64_t>(block, kResyncOffsetAt));
  out.has_bitmap = (features & kBitmapOffset) != 0;
  out.bitmap_offset_bytes = out.has_bitmap ? load_place(block, kBitmapOffsetAt) : 0;
  out.roles.clear();
  const std::uint32_t roles = std::min(load_le<std::uint32_t>(block, kMaxDevAt), kMaxDevices);
  for (std::uint32_t i = 0; i < roles; ++i) {
    out.roles.push_back(load_le<std::uint16_t>(block, kRolesAt + 2 * i));
  }
  out.features_read = features;
}

void decode_device(ByteView block, Superblock& out) {
  const std::uint32_t features = out.features_read;
  out.device_uuid = load_uuid(block, kDeviceUuidAt);
  out.data_offset_bytes = load_le<std::uint64_t>(block, kDataOffsetAt) * kSector;
  out.data_bytes = load_le<std::uint64_t>(block, kDataSizeAt) * kSector;
  out.device_number = load_le<std::uint32_t>(block, kDeviceNumberAt);
  const auto flags = load_le<std::uint8_t>(block, kDeviceFlagsAt);
  out.write_mostly = (flags & kWriteMostlyFlag) != 0;
  out.failfast = (flags & kFailfastFlag) != 0;
  out.replacement = (features & kReplacement) != 0;
  out.recovery_offset_bytes = (features & kRecoveryOffset) != 0
                                  ? bytes_of(load_le<std::uint64_t>(block, kRecoveryOffsetAt))
                                  : kAll;
  out.recovery_by_bitmap = (features & kRecoveryBitmap) != 0;
  out.corrected_reads = load_le<std::uint32_t>(block, kCorrectedReadsAt);
  const auto log_sectors = load_le<std::uint16_t>(block, kBadBlocksSizeAt);
  out.bad_blocks.offset_bytes = load_place(block, kBadBlocksOffsetAt);
  out.bad_blocks.bytes = log_sectors * static_cast<std::uint32_t>(kSector);
  out.bad_blocks.shift = load_le<std::uint8_t>(block, kBadBlocksShiftAt);
  out.bad_blocks.in_use = (features & kBadBlocks) != 0;
}

void decode(ByteView block, Superblock& out) {
  decode_array(block, out);
  decode_device(block, out);
}

// Why an array with these features is left alone, in the order of their weight; or nothing.
std::string refused_features(std::uint32_t features) {
  if ((features & ~kKnownFeatures) != 0) {
    return fmt::format("the array has features that are not known (bits {:#x})",
                       features & ~kKnownFeatures);
  }
  if ((features & (kReshapeActive | kReshapeBackwards | kNewOffset)) != 0) {
    return "the array is being reshaped; let the kernel finish that first";
  }
  if ((features & kJournal) != 0) return "the array has a write journal, which is not supported";
  if ((features & kPpl) != 0) {
    return "the array has a partial parity log (PPL), which is not supported";
  }
  if ((features & kClustered) != 0) {
    return "the array is shared by a cluster, which is not supported";
  }
  return {};
}

bool padding_is_zero(ByteView block) {
  const ByteView pad = block.subspan(kPad3At, kPad3Bytes);
  return load_le<std::uint32_t>(block, kPad0At) == 0 &&
         std::all_of(pad.begin(), pad.end(), [](std::byte each) { return each == std::byte{0}; });
}

// Numbers of sectors that must not overflow as bytes.
Result<void> check_numbers(ByteView block, const Superblock& superblock) {
  if (load_le<std::uint32_t>(block, kMaxDevAt) > kMaxDevices) {
    return make_error(Errc::corrupt, "has {} roles; {} are possible",
                      load_le<std::uint32_t>(block, kMaxDevAt), kMaxDevices);
  }
  for (const std::size_t at : {kSizeAt, kDataOffsetAt, kDataSizeAt}) {
    if (load_le<std::uint64_t>(block, at) >= kMaxSectors) {
      return make_error(Errc::corrupt, "has {} sectors at its byte {}",
                        load_le<std::uint64_t>(block, at), at);
    }
  }
  const auto is_offset = [](std::uint64_t sectors) {
    return sectors == kAll || sectors < kMaxSectors;
  };
  if (!is_offset(load_le<std::uint64_t>(block, kResyncOffsetAt)) ||
      (superblock.recovery_offset_bytes != kAll &&
       !is_offset(load_le<std::uint64_t>(block, kRecoveryOffsetAt)))) {
    return make_error(Errc::corrupt, "is in the middle of a resync at an impossible place");
  }
  if (load_le<std::uint64_t>(block, kDataSizeAt) < kMinDataSectors) {
    return make_error(Errc::corrupt, "has {} bytes of data", superblock.data_bytes);
  }
  return {};
}

// True where [start, start + length) is on the device and clear of superblock and data.
bool is_free(const Superblock& superblock, std::uint64_t device_bytes, std::int64_t offset,
             std::uint64_t length) {
  const std::uint64_t start =
      superblock.superblock_offset_bytes + static_cast<std::uint64_t>(offset);
  if (!within(start, length, device_bytes)) return false;
  const auto clear_of = [&](std::uint64_t other, std::uint64_t bytes) {
    return start + length <= other || other + bytes <= start;
  };
  return clear_of(superblock.superblock_offset_bytes, kRolesAt + 2 * superblock.roles.size()) &&
         clear_of(superblock.data_offset_bytes, superblock.data_bytes);
}

Result<void> check_places(std::uint64_t device_bytes, const Superblock& superblock) {
  const std::uint64_t start = superblock.superblock_offset_bytes;
  const std::uint64_t end = superblock.version == Version::v1_0 ? start : device_bytes;
  const std::uint64_t first =
      superblock.version == Version::v1_0 ? 0 : start + kRolesAt + 2 * superblock.roles.size();
  if (!within(superblock.data_offset_bytes, superblock.data_bytes, end)) {
    return make_error(Errc::corrupt,
                      "says that {} bytes of data are at byte {}; the device has room up to {}",
                      superblock.data_bytes, superblock.data_offset_bytes, end);
  }
  if (superblock.data_offset_bytes < first) {
    return make_error(Errc::corrupt, "says that data begin in it, at byte {}",
                      superblock.data_offset_bytes);
  }
  // Of the bitmap's size its own header will tell (bitmap.h).
  constexpr std::uint64_t kBitmapHeaderBytes = 256;
  if (superblock.has_bitmap &&
      !is_free(superblock, device_bytes, superblock.bitmap_offset_bytes, kBitmapHeaderBytes)) {
    return make_error(Errc::corrupt, "says that its bitmap is {} bytes from it, where it cannot be",
                      superblock.bitmap_offset_bytes);
  }
  const BadBlockLog& log = superblock.bad_blocks;
  const bool has_log = log.bytes != 0 && log.offset_bytes != 0;
  if (log.in_use && (!has_log || log.bytes > kMaxBadBlocksBytes)) {
    return make_error(Errc::corrupt, "has bad blocks, and a log of {} bytes for them", log.bytes);
  }
  if (has_log && !is_free(superblock, device_bytes, log.offset_bytes, log.bytes)) {
    return make_error(Errc::corrupt,
                      "has its log of bad blocks {} bytes from it, where it cannot "
                      "be",
                      log.offset_bytes);
  }
  return {};
}

Result<void> check(ByteView block, std::uint64_t device_bytes, Superblock& superblock) {
  check_level(superblock);
  std::string refused = refused_features(superblock.features_read);
  if (refused.empty() && !padding_is_zero(block)) {
    refused = "the superblock has something where today's have zeros: a feature that is not known";
  }
  if (refused.empty() && superblock.role() == kRoleJournal) {
    refused = "the device is a write journal, which is not supported";
  }
  if (!refused.empty()) superblock.unsupported = std::move(refused);

  if (auto numbers = check_numbers(block, superblock); !numbers) return numbers;
  if (auto geometry = check_geometry(superblock, kMaxDevices); !geometry) return geometry;
  const bool raid0_layout = (superblock.features_read & kRaid0Layout) != 0;
  if (raid0_layout && superblock.level != 0) {
    return make_error(Errc::corrupt, "has a layout of raid0 and is of {}",
                      level_name(superblock.level));
  }
  const std::uint16_t role = superblock.role();
  if (role < kRoleJournal && role >= superblock.raid_disks) {
    return make_error(Errc::corrupt, "gives its device place {} of {}", role,
                      superblock.raid_disks);
  }
  return check_places(device_bytes, superblock);
}

void encode_array(const Superblock& now, const Superblock& before, ByteSpan block) {
  if (now.set_uuid != before.set_uuid) store_uuid(block, kSetUuidAt, now.set_uuid);
  if (now.name != before.name) {
    const ByteView name = as_bytes(now.name);
    const ByteSpan field = block.subspan(kNameAt, kNameBytes);
    std::fill(field.begin(), field.end(), std::byte{0});
    std::copy_n(name.begin(), std::min(name.size(), kNameBytes), field.begin());
  }
  store_le(block, kLevelAt, static_cast<std::uint32_t>(now.level));
  store_le(block, kLayoutAt, now.layout);
  store_le(block, kChunkAt, static_cast<std::uint32_t>(now.chunk_bytes / kSector));
  store_le(block, kRaidDisksAt, now.raid_disks);
  if (now.component_bytes != before.component_bytes) {
    store_le(block, kSizeAt, now.component_bytes / kSector);
  }
  if (now.created_seconds != before.created_seconds) {
    store_le(block, kCreatedAt, now.created_seconds & kSecondsMask);
  }
  store_le(block, kEventsAt, now.events);
  if (now.updated_seconds != before.updated_seconds) {
    store_le(block, kUpdatedAt, now.updated_seconds & kSecondsMask);
  }
  if (now.resync_offset_bytes != before.resync_offset_bytes) {
    store_le(block, kResyncOffsetAt, sectors_of(now.resync_offset_bytes));
  }
  if (now.has_bitmap) store_place(block, kBitmapOffsetAt, now.bitmap_offset_bytes);
  if (now.roles != before.roles) {
    ASHLAR_ASSERT(now.roles.size() <= kMaxDevices);
    store_le(block, kMaxDevAt, static_cast<std::uint32_t>(now.roles.size()));
    for (std::size_t i = 0; i < now.roles.size(); ++i) {
      store_le(block, kRolesAt + 2 * i, now.roles[i]);
    }
  }
}

void encode_device(const Superblock& now, const Superblock& before, ByteSpan block) {
  if (now.device_uuid && now.device_uuid != before.device_uuid) {
    store_uuid(block, kDeviceUuidAt, *now.device_uuid);
  }
  if (now.data_offset_bytes != before.data_offset_bytes) {
    store_le(block, kDataOffsetAt, now.data_offset_bytes / kSector);
  }
  if (now.data_bytes != before.data_bytes) store_le(block, kDataSizeAt, now.data_bytes / kSector);
  store_le(block, kSuperOffsetAt, now.superblock_offset_bytes / kSector);
  if (now.recovery_offset_bytes != before.recovery_offset_bytes) {
    // The kernel leaves 0 where there is no recovery.
    const std::uint64_t bytes = now.recovery_offset_bytes;
    store_le(block, kRecoveryOffsetAt, bytes == kAll ? 0 : bytes / kSector);
  }
  store_le(block, kDeviceNumberAt, now.device_number);
  store_le(block, kCorrectedReadsAt, now.corrected_reads);
  auto flags = load_le<std::uint8_t>(block, kDeviceFlagsAt);
  flags &= static_cast<std::uint8_t>(~(kWriteMostlyFlag | kFailfastFlag));
  if (now.write_mostly) flags |= kWriteMostlyFlag;
  if (now.failfast) flags |= kFailfastFlag;
  store_le(block, kDeviceFlagsAt, flags);
  store_le(block, kBadBlocksShiftAt, now.bad_blocks.shift);
  store_le(block, kBadBlocksSizeAt, static_cast<std::uint16_t>(now.bad_blocks.bytes / kSector));
  store_place(block, kBadBlocksOffsetAt, now.bad_blocks.offset_bytes);
}

void encode(const Superblock& now, const Superblock& before, ByteSpan block) {
  store_le(block, 0, kMagic);
  store_le<std::uint32_t>(block, kMajorAt, 1);
  auto features = load_le<std::uint32_t>(block, kFeaturesAt);
  const auto set = [&](std::uint32_t bit, bool was, bool is) {
    if (was != is) features = is ? features | bit : features & ~bit;
  };
  set(kBitmapOffset, before.has_bitmap, now.has_bitmap);
  set(kRecoveryOffset, before.recovery_offset_bytes != kAll, now.recovery_offset_bytes != kAll);
  set(kRecoveryBitmap, before.recovery_by_bitmap, now.recovery_by_bitmap);
  set(kBadBlocks, before.bad_blocks.in_use, now.bad_blocks.in_use);
  set(kReplacement, before.replacement, now.replacement);
  set(kRaid0Layout, before.raid0_layout_known, now.raid0_layout_known);
  store_le(block, kFeaturesAt, features);
  encode_array(now, before, block);
  encode_device(now, before, block);
}

void seal(ByteSpan block) { store_le(block, kChecksumAt, checksum(block)); }

bool checksum_matches(ByteView block) {
  return checksum(block) == load_le<std::uint32_t>(block, kChecksumAt);
}

}  // namespace

const Format kFormat1 = {decode, checksum_matches, check, encode, seal};

}  // namespace ashlar::md
