// Members of an array in memory, for tests of the keeper: they carry out its records in any order
// that the phases allow, lose their power in the middle, and are read anew.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <functional>
#include <string>

#include "base/random.h"
#include "md/keeper.h"

namespace ashlar::md {

using Bytes = std::vector<std::byte>;

// A comparison that is fast without optimisation, too.
inline bool same(const Bytes& a, const Bytes& b) {
  return a.size() == b.size() && std::memcmp(a.data(), b.data(), a.size()) == 0;
}

// The part of a device that holds metadata, if it is at its beginning; else all of it.
struct Disk {
  std::string name;
  std::uint64_t device_bytes = 0;
  Bytes bytes;
};

// What a plain array is made of.
struct Shape {
  Version version = Version::v1_2;
  std::int32_t level = 1;
  std::uint32_t disks = 2;
  bool bitmap = true;
  std::uint32_t spares = 0;
};

inline constexpr std::uint64_t kChunkBytes = 64 * kKiB;  // of the bitmap

inline Superblock superblock_of(const Shape& shape, std::uint32_t number,
                                std::uint64_t device_bytes) {
  Superblock sb;
  sb.version = shape.version;
  sb.set_uuid.fill(std::byte{0x5a});
  sb.level = shape.level;
  sb.layout = shape.level == 10 ? 0x102 : shape.level >= 5 ? 2 : 0;
  sb.chunk_bytes = shape.level >= 4 || shape.level == 0 ? 64 * kKiB : 0;
  sb.raid_disks = shape.disks;
  sb.component_bytes = 8 * kMiB;
  sb.created_seconds = 1000;
  sb.updated_seconds = 2000;
  sb.events = 20;
  sb.superblock_offset_bytes = *superblock_offset(shape.version, device_bytes);
  sb.device_number = number;
  sb.has_bitmap = shape.bitmap;
  sb.bitmap_offset_bytes = shape.bitmap ? 4096 : 0;
  if (shape.version == Version::v1_2) {
    sb.data_offset_bytes = kMiB;
    sb.data_bytes = device_bytes - kMiB;
  } else {
    sb.data_bytes = 8 * kMiB;
  }
  if (sb.is_version_1()) sb.device_uuid.emplace().fill(std::byte(number + 1));
  const std::uint32_t numbers = sb.is_version_1() ? shape.disks + shape.spares : kMaxDevices90;
  for (std::uint32_t i = 0; i < numbers; ++i) {
    sb.roles.push_back(static_cast<std::uint16_t>(i < shape.disks                  ? i
                                                  : i < shape.disks + shape.spares ? kRoleSpare
                                                                                   : kRoleFaulty));
  }
  return sb;
}

inline BitmapHeader bitmap_of(const Superblock& sb) {
  BitmapHeader header;
  header.set_uuid = sb.set_uuid;
  header.events = sb.events;
  header.events_cleared = sb.events;
  header.sync_bytes = sb.level == 10 ? sb.component_bytes * sb.raid_disks / 2 : sb.component_bytes;
  header.chunk_bytes = kChunkBytes;
  return header;
}

inline void store(Disk& disk, std::uint64_t at, ByteView bytes) {
  ASHLAR_ASSERT(within(at, bytes.size(), disk.bytes.size()));
  std::copy(bytes.begin(), bytes.end(), disk.bytes.begin() + static_cast<std::ptrdiff_t>(at));
}

inline std::vector<Disk> make_disks(const Shape& shape) {
  const bool at_front = shape.version == Version::v1_2;
  const std::uint64_t device_bytes = at_front ? 10 * kMiB : 9 * kMiB;
  std::vector<Disk> disks;
  for (std::uint32_t i = 0; i < shape.disks + shape.spares; ++i) {
    const Superblock sb = superblock_of(shape, i, device_bytes);
    disks.push_back(
        {fmt::format("disk{}", i), device_bytes, Bytes(at_front ? 16 * kKiB : device_bytes)});
    store(disks.back(), sb.superblock_offset_bytes, serialise_superblock(sb));
    if (shape.bitmap) store(disks.back(), sb.bitmap_start_bytes(), serialise_bitmap(bitmap_of(sb)));
  }
  return disks;
}

inline Superblock read_superblock(const Disk& disk) {
  for (const Version version : kVersions) {
    const auto at = superblock_offset(version, disk.device_bytes);
    if (!at || !within(*at, kSuperblockBytes, disk.bytes.size())) continue;
    const ByteView block = ByteView(disk.bytes).subspan(*at, kSuperblockBytes);
    auto parsed = parse_superblock(block, version, disk.device_bytes);
    if (parsed) return *parsed;
    EXPECT_EQ(parsed.error().code, Errc::not_found) << disk.name << ": " << parsed.error().message;
  }
  ADD_FAILURE() << disk.name << " has no superblock";
  return {};
}

inline BitmapCopy read_bitmap(const Disk& disk, const Superblock& sb) {
  const ByteView from = ByteView(disk.bytes).subspan(sb.bitmap_start_bytes());
  auto header = parse_bitmap(from, bitmap_room_bytes(sb, disk.device_bytes));
  EXPECT_TRUE(header) << (header ? "" : header.error().message);
  const ByteView bits = from.subspan(kBitmapHeaderBytes, (header->bits() + 7) / 8);
  return {*header, {bits.begin(), bits.end()}};
}

// An array as somebody finds it.
struct Found {
  std::vector<Candidate> candidates;
  Assembly assembly;

  explicit Found(const std::vector<Disk>& disks) {
    for (const Disk& each : disks) candidates.push_back({each.name, read_superblock(each)});
    std::vector<Assembly> arrays = assemble(candidates);
    EXPECT_EQ(arrays.size(), 1u);
    assembly = std::move(arrays.at(0));
  }
  const Superblock& freshest() const { return candidates[assembly.freshest].superblock; }
  bool has(std::size_t disk) const {
    for (const auto& each : assembly.members) {
      if (each && each->candidate == disk) return true;
    }
    return false;
  }
  // The kernel reads the bitmap from any member in sync: what each of them makes it resync.
  bool resyncs(const std::vector<Disk>& disks, const Extent& range) const {
    if (!assembly.dirty()) return false;
    if (!freshest().has_bitmap) return assembly.resync_offset_bytes <= range.offset;
    return all_bits(disks, range);
  }
  bool all_bits(const std::vector<Disk>& disks, const Extent& range) const {
    bool all = true;
    for (const auto& each : assembly.members) {
      if (each && each->in_sync()) all = all && bits(disks[each->candidate], range);
    }
    return all;
  }

 private:
  bool bits(const Disk& disk, const Extent& range) const {
    const BitmapCopy copy = read_bitmap(disk, freshest());
    auto distrust = distrust_bitmap(copy.header, freshest(), assembly.layout->sync_bytes());
    EXPECT_TRUE(distrust);
    if (!distrust->empty()) return true;
    for (const Extent& each : bitmap_ranges(copy.header, copy.bits)) {
      if (each.offset <= range.offset && range.end() <= each.end()) return true;
    }
    return false;
  }
};

inline std::unique_ptr<Keeper> make_keeper(const std::vector<Disk>& disks, const Found& found) {
  std::vector<KeeperDevice> devices;
  for (std::size_t i = 0; i < disks.size(); ++i) {
    devices.push_back({found.candidates[i].superblock, disks[i].device_bytes, 512, {}});
  }
  std::optional<BitmapCopy> bitmap;
  if (found.freshest().has_bitmap) {
    bitmap = read_bitmap(disks[found.assembly.freshest], found.freshest());
  }
  auto made = Keeper::make(found.assembly, std::move(devices), std::move(bitmap),
                           [] { return std::uint64_t{123456}; });
  EXPECT_TRUE(made) << (made ? "" : made.error().message);
  return std::move(*made);
}

// Carries records out. After `sectors_left` sectors the power is cut, and nothing reaches any disk.
class Power {
 public:
  Power(std::vector<Disk>& disks, std::uint64_t seed) : disks_(disks), random_(seed) {}

  std::uint64_t sectors_left = ~std::uint64_t{0};
  std::function<void()> on_flush = [] {};
  std::uint64_t records = 0;

  bool off() const { return sectors_left == 0; }

  // The devices on which a put failed. `failing`: a device that does not take any more.
  std::vector<std::uint32_t> carry_out(const Record& record,
                                       std::optional<std::uint32_t> failing = {}) {
    ++records;
    bool failed = false;
    for (const Phase& phase : record.phases) {
      if (phase.flush_first && !off()) on_flush();
      for (const Put& put : pieces_of(phase)) {
        if (put.device == failing) {
          failed = true;
        } else if (!off()) {
          store(disks_[put.device], put.offset, put.bytes);
          --sectors_left;
        }
      }
    }
    return failed ? std::vector{*failing} : std::vector<std::uint32_t>{};
  }

 private:
  // Superblocks as a whole (a checksum would tell), other puts by sectors, in any order.
  std::vector<Put> pieces_of(const Phase& phase) {
    std::vector<Put> pieces;
    for (const Put& put : phase.puts) {
      const bool whole = put.offset == read_superblock(disks_[put.device]).superblock_offset_bytes;
      const std::uint64_t step = whole ? put.bytes.size() : 512;
      for (std::uint64_t at = 0; at < put.bytes.size(); at += step) {
        pieces.push_back({put.device, put.offset + at, put.bytes.subspan(at, step)});
      }
    }
    for (std::size_t i = pieces.size(); i > 1; --i) {
      std::swap(pieces[i - 1], pieces[random_.below(i)]);
    }
    return pieces;
  }

  std::vector<Disk>& disks_;
  Random random_;
};

}  // namespace ashlar::md
