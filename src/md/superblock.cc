// Where superblocks lie, what is common to their versions, and the way in and out.
#include "md/superblock.h"

#include <algorithm>

#include "md/superblock_formats.h"
#include "md/units.h"

namespace ashlar::md {
namespace {

// 0.90 keeps the last whole 64 KiB of the device for itself.
constexpr std::uint64_t kReserved90 = 64 * kKiB;

const Format& format_of(Version version) { return version == Version::v0_90 ? kFormat0 : kFormat1; }

// Data of raid4, 5, 6 and 10 are in chunks of whole pages, in a power of two, as the kernel asks.
bool needs_page_chunks(std::int32_t level) { return level >= 4; }

}  // namespace

std::string_view to_string(Version version) noexcept {
  switch (version) {
    case Version::v0_90:
      return "0.90";
    case Version::v1_0:
      return "1.0";
    case Version::v1_1:
      return "1.1";
    case Version::v1_2:
      return "1.2";
  }
  return "?";
}

std::string level_name(std::int32_t level) {
  switch (level) {
    case kLevelLinear:
      return "linear";
    case kLevelMultipath:
      return "multipath";
    case kLevelFaulty:
      return "faulty";
    case kLevelContainer:
      return "container";
    case 0:
    case 1:
    case 4:
    case 5:
    case 6:
    case 10:
      return fmt::format("raid{}", level);
    default:
      return fmt::format("level {}", level);
  }
}

std::optional<std::uint64_t> superblock_offset(Version version, std::uint64_t device_bytes) {
  // mdadm asks for this many sectors of a device with a version-1 superblock.
  constexpr std::uint64_t kSmallest = 24 * kSector;
  const std::uint64_t whole = align_down(device_bytes, kSector);
  if (device_bytes / kSector >= kMaxSectors || whole < kSmallest) return std::nullopt;
  switch (version) {
    case Version::v0_90:
      if (whole < 2 * kReserved90) return std::nullopt;
      return align_down(whole, kReserved90) - kReserved90;
    case Version::v1_0:
      return align_down(whole - 8 * kKiB, 4 * kKiB);
    case Version::v1_1:
      return 0;
    case Version::v1_2:
      return 4 * kKiB;
  }
  return std::nullopt;
}

Result<Superblock> parse_superblock(ByteView block, Version version, std::uint64_t device_bytes) {
  const auto offset = superblock_offset(version, device_bytes);
  if (!offset) return make_error(Errc::not_found, "md: the device is too small for a superblock");
  if (block.size() < kSuperblockBytes || !within(*offset, kSuperblockBytes, device_bytes)) {
    return make_error(Errc::not_found, "md: no room for a superblock at byte {}", *offset);
  }
  block = block.first(kSuperblockBytes);
  const auto major = load_le<std::uint32_t>(block, 4);
  if (load_be<std::uint32_t>(block, 0) == kMagic && version == Version::v0_90) {
    return make_error(Errc::unsupported,
                      "md: the superblock at byte {} was written by a big-endian machine; mdadm "
                      "--assemble --update=byteorder turns it round",
                      *offset);
  }
  if (load_le<std::uint32_t>(block, 0) != kMagic || major != (version == Version::v0_90 ? 0 : 1)) {
    return make_error(Errc::not_found, "md: no superblock {} at byte {}", to_string(version),
                      *offset);
  }
  const Format& format = format_of(version);
  Superblock superblock;
  superblock.version = version;
  superblock.superblock_offset_bytes = *offset;
  format.decode(block, superblock);
  // Another version's superblock, which another place on this device would explain.
  if (version != Version::v0_90 && load_le<std::uint64_t>(block, 144) != *offset / kSector) {
    return make_error(Errc::not_found, "md: the superblock at byte {} says that it is elsewhere",
                      *offset);
  }
  if (!format.checksum_matches(block)) {
    return make_error(Errc::corrupt, "md: the superblock at byte {} has a wrong checksum", *offset);
  }
  const Result<void> checked = format.check(block, device_bytes, superblock);
  if (!checked && superblock.unsupported.empty()) {
    return make_error(Errc::corrupt, "md: the superblock at byte {} {}", *offset,
                      checked.error().message);
  }
  superblock.raw.assign(block.begin(), block.end());
  return superblock;
}

std::vector<std::byte> serialise_superblock(const Superblock& superblock) {
  const Format& format = format_of(superblock.version);
  std::vector<std::byte> block = superblock.raw;
  block.resize(kSuperblockBytes);
  Superblock before;
  before.version = superblock.version;
  before.superblock_offset_bytes = superblock.superblock_offset_bytes;
  format.decode(block, before);
  format.encode(superblock, before, block);
  // The kernel accepts 0.90 checksums that it would not compute: they stay in what is unchanged.
  if (block != superblock.raw) format.seal(block);
  return block;
}

Result<void> check_geometry(const Superblock& superblock, std::uint32_t max_devices) {
  if (superblock.raid_disks == 0 || superblock.raid_disks > max_devices) {
    return make_error(Errc::corrupt, "names {} devices; 1 to {} are possible",
                      superblock.raid_disks, max_devices);
  }
  const std::uint64_t chunk = superblock.chunk_bytes;
  if (superblock.level == 0 && (chunk == 0 || chunk % kSector != 0)) {
    return make_error(Errc::corrupt, "has a chunk of {} bytes, no whole sectors", chunk);
  }
  if (needs_page_chunks(superblock.level) && (!is_power_of_two(chunk) || chunk < kPage)) {
    return make_error(Errc::corrupt, "has a chunk of {} bytes, not a power of two of at least {}",
                      chunk, kPage);
  }
  if (superblock.level > 0 && superblock.component_bytes == 0) {
    return make_error(Errc::corrupt, "says that 0 bytes of each device are used");
  }
  if (superblock.level > 0 && superblock.component_bytes > superblock.data_bytes) {
    return make_error(Errc::corrupt, "says that {} bytes of each device are used; {} are there",
                      superblock.component_bytes, superblock.data_bytes);
  }
  return {};
}

void check_level(Superblock& superblock) {
  switch (superblock.level) {
    case kLevelLinear:
    case 0:
    case 1:
    case 4:
    case 5:
    case 6:
    case 10:
      return;
    default:
      superblock.unsupported =
          fmt::format("the array is of {}, which is not supported", level_name(superblock.level));
  }
}

std::uint64_t bitmap_room_bytes(const Superblock& superblock, std::uint64_t device_bytes) {
  ASHLAR_ASSERT(superblock.has_bitmap);
  const std::uint64_t start = superblock.bitmap_start_bytes();
  std::uint64_t end = device_bytes;
  const auto stop_at = [&](std::uint64_t place) {
    if (place >= start) end = std::min(end, place);
  };
  stop_at(superblock.superblock_offset_bytes);
  stop_at(superblock.data_offset_bytes);
  if (superblock.bad_blocks.bytes != 0) stop_at(superblock.bad_blocks_start_bytes());
  if (!superblock.is_version_1()) stop_at(superblock.superblock_offset_bytes + kReserved90);
  return end > start ? end - start : 0;
}

std::size_t newest_superblock(const std::vector<Superblock>& found) {
  ASHLAR_ASSERT(!found.empty());
  const auto newest =
      std::max_element(found.begin(), found.end(), [](const Superblock& a, const Superblock& b) {
        return a.created_seconds < b.created_seconds;
      });
  return static_cast<std::size_t>(newest - found.begin());
}

std::string uuid_text(const Superblock& superblock) {
  std::string text;
  for (std::size_t i = 0; i < superblock.set_uuid.size(); ++i) {
    // Words of the machine in 0.90, bytes in order since.
    const std::size_t at = superblock.is_version_1() ? i : (i ^ 3);
    if (i != 0 && i % 4 == 0) text += ':';
    text += fmt::format("{:02x}", std::to_integer<unsigned>(superblock.set_uuid[at]));
  }
  return text;
}

}  // namespace ashlar::md
