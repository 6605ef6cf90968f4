// Superblocks of version 0.90: struct mdp_superblock_s of linux/raid/md_p.h, in the byte order of
// the machine that wrote it; here little-endian ones. Numbers are 32-bit words, sizes in KiB.
#include <algorithm>

#include "md/superblock_formats.h"

namespace ashlar::md {
namespace {

constexpr std::size_t word(std::size_t index) { return 4 * index; }

constexpr std::size_t kMinorAt = word(2);
constexpr std::size_t kPatchAt = word(3);
constexpr std::size_t kUuidAt[] = {word(5), word(13), word(14), word(15)};
constexpr std::size_t kCreatedAt = word(6);
constexpr std::size_t kLevelAt = word(7);
constexpr std::size_t kSizeAt = word(8);
constexpr std::size_t kDeviceCountAt = word(9);
constexpr std::size_t kRaidDisksAt = word(10);
constexpr std::size_t kUpdatedAt = word(32);
constexpr std::size_t kStateAt = word(33);
constexpr std::size_t kActiveAt = word(34);
constexpr std::size_t kWorkingAt = word(35);
constexpr std::size_t kFailedAt = word(36);
constexpr std::size_t kSpareAt = word(37);
constexpr std::size_t kChecksumAt = word(38);
constexpr std::size_t kEventsAt = word(39);            // low half first
constexpr std::size_t kCheckpointEventsAt = word(41);  // likewise
constexpr std::size_t kCheckpointAt = word(43);
constexpr std::size_t kLayoutAt = word(64);
constexpr std::size_t kChunkAt = word(65);
constexpr std::size_t kDescriptorsAt = word(128);
constexpr std::size_t kThisDescriptorAt = word(992);
constexpr std::size_t kDescriptorBytes = word(32);

// Within a descriptor.
constexpr std::size_t kNumberAt = word(0);
constexpr std::size_t kPlaceAt = word(3);
constexpr std::size_t kDeviceStateAt = word(4);

constexpr std::uint32_t kClean = 1 << 0;
constexpr std::uint32_t kClustered = 1 << 5;
constexpr std::uint32_t kBitmapPresent = 1 << 8;

constexpr std::uint32_t kFaulty = 1 << 0;
constexpr std::uint32_t kActive = 1 << 1;
constexpr std::uint32_t kInSync = 1 << 2;
constexpr std::uint32_t kRemoved = 1 << 3;
constexpr std::uint32_t kWriteMostly = 1 << 9;
constexpr std::uint32_t kFailfast = 1 << 10;

constexpr std::uint32_t kMinorReshape = 91;

std::uint32_t checksum(ByteView block) {
  std::uint64_t sum = 0;
  for (std::size_t at = 0; at < kSuperblockBytes; at += 4) {
    if (at != kChecksumAt) sum += load_le<std::uint32_t>(block, at);
  }
  return static_cast<std::uint32_t>(sum) + static_cast<std::uint32_t>(sum >> 32);
}

// Both ways in which machines have added the carries lead to the same 16 bits.
std::uint32_t fold(std::uint32_t sum) {
  sum = (sum & 0xffff) + (sum >> 16);
  return (sum & 0xffff) + (sum >> 16);
}

bool checksum_matches(ByteView block) {
  return fold(checksum(block)) == fold(load_le<std::uint32_t>(block, kChecksumAt));
}

ByteView descriptor(ByteView block, std::size_t number) {
  return block.subspan(kDescriptorsAt + number * kDescriptorBytes, kDescriptorBytes);
}
ByteSpan descriptor(ByteSpan block, std::size_t number) {
  return block.subspan(kDescriptorsAt + number * kDescriptorBytes, kDescriptorBytes);
}

std::uint16_t role_in(ByteView descriptor) {
  const auto state = load_le<std::uint32_t>(descriptor, kDeviceStateAt);
  if ((state & (kFaulty | kRemoved)) != 0) return kRoleFaulty;
  if ((state & kInSync) != 0) {
    return static_cast<std::uint16_t>(
        std::min<std::uint32_t>(load_le<std::uint32_t>(descriptor, kPlaceAt), kRoleMax));
  }
  const bool unused = state == 0 && load_le<std::uint32_t>(descriptor, kNumberAt) == 0;
  return unused ? kRoleFaulty : kRoleSpare;
}

std::uint64_t resync_offset(ByteView block) {
  if ((load_le<std::uint32_t>(block, kStateAt) & kClean) != 0) return kAll;
  const bool checkpointed = load_le<std::uint64_t>(block, kEventsAt) ==
                            load_le<std::uint64_t>(block, kCheckpointEventsAt);
  return checkpointed ? load_le<std::uint32_t>(block, kCheckpointAt) * kSector : 0;
}

void decode_devices(ByteView block, Superblock& out) {
  out.roles.clear();
  for (std::size_t i = 0; i < kMaxDevices90; ++i)
    out.roles.push_back(role_in(descriptor(block, i)));
  out.device_number = load_le<std::uint32_t>(block, kThisDescriptorAt + kNumberAt);
  if (out.device_number < kMaxDevices90) {
    const auto state = load_le<std::uint32_t>(descriptor(block, out.device_number), kDeviceStateAt);
    out.write_mostly = (state & kWriteMostly) != 0;
    out.failfast = (state & kFailfast) != 0;
  }
}

void decode(ByteView block, Superblock& out) {
  for (std::size_t i = 0; i < std::size(kUuidAt); ++i) {
    std::copy_n(block.begin() + static_cast<std::ptrdiff_t>(kUuidAt[i]), 4,
                out.set_uuid.begin() + static_cast<std::ptrdiff_t>(4 * i));
  }
  const auto state = load_le<std::uint32_t>(block, kStateAt);
  out.level = static_cast<std::int32_t>(load_le<std::uint32_t>(block, kLevelAt));
  out.layout = load_le<std::uint32_t>(block, kLayoutAt);
  out.chunk_bytes = load_le<std::uint32_t>(block, kChunkAt);
  out.raid_disks = load_le<std::uint32_t>(block, kRaidDisksAt);
  out.component_bytes = load_le<std::uint32_t>(block, kSizeAt) * kKiB;
  out.created_seconds = load_le<std::uint32_t>(block, kCreatedAt);
  out.events = load_le<std::uint64_t>(block, kEventsAt);
  out.updated_seconds = load_le<std::uint32_t>(block, kUpdatedAt);
  out.resync_offset_bytes = resync_offset(block);
  out.has_bitmap = (state & kBitmapPresent) != 0;
  out.bitmap_offset_bytes = out.has_bitmap ? static_cast<std::int64_t>(kSuperblockBytes) : 0;
  out.data_offset_bytes = 0;
  out.data_bytes = out.superblock_offset_bytes;
  decode_devices(block, out);
}

Result<void> check(ByteView block, std::uint64_t /*device_bytes*/, Superblock& superblock) {
  check_level(superblock);
  const auto minor = load_le<std::uint32_t>(block, kMinorAt);
  if (minor == kMinorReshape) {
    superblock.unsupported = "the array is being reshaped; let the kernel finish that first";
  } else if ((load_le<std::uint32_t>(block, kStateAt) & kClustered) != 0) {
    superblock.unsupported = "the array is shared by a cluster, which is not supported";
  } else if (minor != 90) {
    superblock.unsupported = fmt::format("the superblock has version 0.{}, not 0.90", minor);
  }
  if (auto geometry = check_geometry(superblock, kMaxDevices90); !geometry) return geometry;
  if (superblock.device_number >= kMaxDevices90) {
    return make_error(Errc::corrupt, "says that its device has number {}; there are {}",
                      superblock.device_number, kMaxDevices90);
  }
  const std::uint16_t role = superblock.role();
  if (role < kRoleJournal && role >= superblock.raid_disks) {
    return make_error(Errc::corrupt, "gives its device place {} of {}", role,
                      superblock.raid_disks);
  }
  return {};
}

void encode_role(const Superblock& now, std::size_t number, ByteSpan block) {
  const ByteSpan entry = descriptor(block, number);
  const std::uint16_t role = now.roles[number];
  const bool gone = role == kRoleFaulty;
  const auto index = static_cast<std::uint32_t>(number);
  if (gone && number >= now.raid_disks) {
    std::fill(entry.begin(), entry.end(), std::byte{0});
    return;
  }
  store_le(entry, kNumberAt, index);
  store_le(entry, kPlaceAt, role < kRoleJournal ? std::uint32_t{role} : index);
  const std::uint32_t state = gone                 ? kFaulty | kRemoved
                              : role == kRoleSpare ? 0
                                                   : kActive | kInSync;
  store_le(entry, kDeviceStateAt, state);
}

// What the kernel counts: a device that failed and is still there is a device; one that is missing
// from its place has failed.
void encode_counts(const Superblock& now, ByteSpan block) {
  std::uint32_t active = 0, spare = 0, broken = 0, missing = 0;
  for (std::size_t i = 0; i < kMaxDevices90; ++i) {
    const std::uint16_t role = role_in(descriptor(block, i));
    const auto state = load_le<std::uint32_t>(descriptor(block, i), kDeviceStateAt);
    if (role < kRoleJournal) ++active;
    if (role == kRoleSpare) ++spare;
    if (role == kRoleFaulty && state == kFaulty) ++broken;
    if (role == kRoleFaulty && state != kFaulty && i < now.raid_disks) ++missing;
  }
  store_le(block, kDeviceCountAt, active + spare + broken);
  store_le(block, kActiveAt, active);
  store_le(block, kWorkingAt, active + spare);
  store_le(block, kFailedAt, missing);
  store_le(block, kSpareAt, spare);
}

void encode_devices(const Superblock& now, const Superblock& before, ByteSpan block) {
  ASHLAR_ASSERT(now.roles.size() <= kMaxDevices90 && now.device_number < kMaxDevices90);
  for (std::size_t i = 0; i < now.roles.size(); ++i) {
    if (now.roles[i] != before.roles[i]) encode_role(now, i, block);
  }
  // The flags stand in the device's descriptor; those of the others are copied by the caller's
  // reading of them.
  const ByteSpan own = descriptor(block, now.device_number);
  auto state = load_le<std::uint32_t>(own, kDeviceStateAt) & ~(kWriteMostly | kFailfast);
  if (now.write_mostly) state |= kWriteMostly;
  if (now.failfast) state |= kFailfast;
  store_le(own, kDeviceStateAt, state);
  encode_counts(now, block);
  std::copy(own.begin(), own.end(), block.begin() + static_cast<std::ptrdiff_t>(kThisDescriptorAt));
}

void encode_state(const Superblock& now, ByteSpan block) {
  auto state = load_le<std::uint32_t>(block, kStateAt) & ~kClean;
  if (now.clean()) state |= kClean;
  store_le(block, kStateAt, state);
  store_le(block, kEventsAt, now.events);
  if (now.resync_offset_bytes != 0) store_le(block, kCheckpointEventsAt, now.events);
  store_le(block, kCheckpointAt, static_cast<std::uint32_t>(now.resync_offset_bytes / kSector));
}

void encode(const Superblock& now, const Superblock& before, ByteSpan block) {
  store_le(block, 0, kMagic);
  if (now.raw.empty()) {
    store_le<std::uint32_t>(block, kMinorAt, 90);
    store_le<std::uint32_t>(block, kPatchAt, 3);
  }
  for (std::size_t i = 0; i < std::size(kUuidAt); ++i) {
    std::copy_n(now.set_uuid.begin() + static_cast<std::ptrdiff_t>(4 * i), 4,
                block.begin() + static_cast<std::ptrdiff_t>(kUuidAt[i]));
  }
  store_le(block, kLevelAt, static_cast<std::uint32_t>(now.level));
  store_le(block, kLayoutAt, now.layout);
  store_le(block, kChunkAt, static_cast<std::uint32_t>(now.chunk_bytes));
  store_le(block, kRaidDisksAt, now.raid_disks);
  store_le(block, kSizeAt, static_cast<std::uint32_t>(now.component_bytes / kKiB));
  store_le(block, kCreatedAt, static_cast<std::uint32_t>(now.created_seconds));
  store_le(block, kUpdatedAt, static_cast<std::uint32_t>(now.updated_seconds));
  if (now.events != before.events || now.resync_offset_bytes != before.resync_offset_bytes) {
    encode_state(now, block);
  }
  if (now.has_bitmap != before.has_bitmap) {
    store_le(block, kStateAt, load_le<std::uint32_t>(block, kStateAt) ^ kBitmapPresent);
  }
  const bool same_devices =
      now.roles == before.roles && now.device_number == before.device_number &&
      now.write_mostly == before.write_mostly && now.failfast == before.failfast;
  if (!same_devices) encode_devices(now, before, block);
}

void seal(ByteSpan block) { store_le(block, kChecksumAt, checksum(block)); }

}  // namespace

const Format kFormat0 = {decode, checksum_matches, check, encode, seal};

}  // namespace ashlar::md
