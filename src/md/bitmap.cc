// Reads and writes the header of a bitmap, and turns bits into ranges.
#include "md/bitmap.h"

#include <algorithm>

#include "md/units.h"

namespace ashlar::md {
namespace {

constexpr std::uint32_t kBitmapMagic = 0x6d746962;  // "bitm"

constexpr std::size_t kVersionAt = 4;
constexpr std::size_t kUuidAt = 8;
constexpr std::size_t kEventsAt = 24;
constexpr std::size_t kEventsClearedAt = 32;
constexpr std::size_t kSyncSizeAt = 40;
constexpr std::size_t kStateAt = 48;
constexpr std::size_t kChunkAt = 52;
constexpr std::size_t kDaemonSleepAt = 56;
constexpr std::size_t kWriteBehindAt = 60;
constexpr std::size_t kReservedAt = 64;

// Bits of the state, by their number.
constexpr std::uint32_t kStale = 1 << 1;
constexpr std::uint32_t kWriteError = 1 << 2;

// What the kernel's counters and timers hold.
constexpr std::uint32_t kMaxWriteBehind = 16383;
constexpr std::uint32_t kMinChunk = 512;
constexpr std::uint64_t kMaxSyncSectors = std::uint64_t{1} << 53;

Result<void> check_version(std::uint32_t version) {
  if (version == 3 || version == 4) return {};
  if (version == 5) {
    return make_error(Errc::unsupported, "md: the bitmap is a cluster's, which is not supported");
  }
  return make_error(Errc::unsupported, "md: the bitmap has version {}; 3 and 4 are supported",
                    version);
}

Result<void> check(ByteView header, const BitmapHeader& parsed, std::uint64_t room_bytes) {
  if (!is_power_of_two(parsed.chunk_bytes) || parsed.chunk_bytes < kMinChunk) {
    return make_error(Errc::corrupt, "md: the bitmap has chunks of {} bytes", parsed.chunk_bytes);
  }
  if (parsed.daemon_sleep_seconds == 0) {
    return make_error(Errc::corrupt, "md: the bitmap says to wait 0 seconds between its writes");
  }
  if (parsed.write_behind > kMaxWriteBehind) {
    return make_error(Errc::corrupt, "md: the bitmap lets {} writes be behind; {} are possible",
                      parsed.write_behind, kMaxWriteBehind);
  }
  if (load_le<std::uint64_t>(header, kSyncSizeAt) >= kMaxSyncSectors) {
    return make_error(Errc::corrupt, "md: the bitmap covers {} sectors",
                      load_le<std::uint64_t>(header, kSyncSizeAt));
  }
  if (parsed.total_bytes() > std::min(room_bytes, kMaxBitmapBytes)) {
    return make_error(Errc::corrupt, "md: the bitmap has {} bits, and room for {} bytes",
                      parsed.bits(), std::min(room_bytes, kMaxBitmapBytes));
  }
  return {};
}

bool is_set(ByteView bits, std::uint64_t bit) {
  return (std::to_integer<unsigned>(bits[bit / 8]) >> (bit % 8) & 1) != 0;
}

}  // namespace

Result<BitmapHeader> parse_bitmap(ByteView header, std::uint64_t room_bytes) {
  if (header.size() < kBitmapHeaderBytes || room_bytes < kBitmapHeaderBytes ||
      load_le<std::uint32_t>(header, 0) != kBitmapMagic) {
    return make_error(Errc::not_found, "md: there is no bitmap where the superblock says");
  }
  BitmapHeader parsed;
  parsed.version = load_le<std::uint32_t>(header, kVersionAt);
  if (auto known = check_version(parsed.version); !known) return known.error();
  std::copy_n(header.begin() + kUuidAt, parsed.set_uuid.size(), parsed.set_uuid.begin());
  parsed.events = load_le<std::uint64_t>(header, kEventsAt);
  parsed.events_cleared = load_le<std::uint64_t>(header, kEventsClearedAt);
  parsed.sync_bytes = load_le<std::uint64_t>(header, kSyncSizeAt) * kSector;
  const auto state = load_le<std::uint32_t>(header, kStateAt);
  parsed.stale = (state & kStale) != 0;
  parsed.write_error = (state & kWriteError) != 0;
  parsed.chunk_bytes = load_le<std::uint32_t>(header, kChunkAt);
  parsed.daemon_sleep_seconds = load_le<std::uint32_t>(header, kDaemonSleepAt);
  parsed.write_behind = load_le<std::uint32_t>(header, kWriteBehindAt);
  parsed.reserved_bytes = load_le<std::uint32_t>(header, kReservedAt) * kSector;
  if (auto checked = check(header, parsed, room_bytes); !checked) return checked.error();
  parsed.raw.assign(header.begin(), header.begin() + kBitmapHeaderBytes);
  return parsed;
}

std::vector<std::byte> serialise_bitmap(const BitmapHeader& header) {
  std::vector<std::byte> block = header.raw;
  block.resize(kBitmapHeaderBytes);
  store_le(ByteSpan(block), 0, kBitmapMagic);
  store_le(ByteSpan(block), kVersionAt, header.version);
  std::copy(header.set_uuid.begin(), header.set_uuid.end(), block.begin() + kUuidAt);
  store_le(ByteSpan(block), kEventsAt, header.events);
  store_le(ByteSpan(block), kEventsClearedAt, header.events_cleared);
  store_le(ByteSpan(block), kSyncSizeAt, header.sync_bytes / kSector);
  auto state = load_le<std::uint32_t>(block, kStateAt) & ~(kStale | kWriteError);
  if (header.stale) state |= kStale;
  if (header.write_error) state |= kWriteError;
  store_le(ByteSpan(block), kStateAt, state);
  store_le(ByteSpan(block), kChunkAt, static_cast<std::uint32_t>(header.chunk_bytes));
  store_le(ByteSpan(block), kDaemonSleepAt, header.daemon_sleep_seconds);
  store_le(ByteSpan(block), kWriteBehindAt, header.write_behind);
  store_le(ByteSpan(block), kReservedAt,
           static_cast<std::uint32_t>(header.reserved_bytes / kSector));
  return block;
}

Result<std::string> distrust_bitmap(const BitmapHeader& header, const Superblock& superblock,
                                    std::uint64_t sync_bytes) {
  if (header.set_uuid != superblock.set_uuid) {
    return make_error(Errc::corrupt, "md: the bitmap belongs to another array");
  }
  if (header.stale) return std::string("the bitmap is marked as out of date");
  if (header.events < superblock.events) {
    return fmt::format("the bitmap is out of date: it has {} events, the array {}", header.events,
                       superblock.events);
  }
  if (header.sync_bytes < sync_bytes) {
    return fmt::format("the bitmap covers {} bytes of {}", header.sync_bytes, sync_bytes);
  }
  return std::string();
}

std::vector<Extent> bitmap_ranges(const BitmapHeader& header, ByteView bits) {
  const std::uint64_t count = header.bits();
  ASHLAR_ASSERT(bits.size() >= (count + 7) / 8);
  std::vector<Extent> ranges;
  for (std::uint64_t bit = 0; bit < count; ++bit) {
    if (bit % 8 == 0 && bits[bit / 8] == std::byte{0}) {
      bit += 7;
      continue;
    }
    if (!is_set(bits, bit)) continue;
    const std::uint64_t start = bit * header.chunk_bytes;
    const std::uint64_t length = std::min(header.chunk_bytes, header.sync_bytes - start);
    if (!ranges.empty() && ranges.back().end() == start) {
      ranges.back().length += length;
    } else {
      ranges.push_back({start, length});
    }
  }
  return ranges;
}

void set_bitmap_range(const BitmapHeader& header, ByteSpan bits, const Extent& range) {
  ASHLAR_ASSERT(within(range.offset, range.length, header.sync_bytes));
  if (range.length == 0) return;
  const std::uint64_t last = (range.end() - 1) / header.chunk_bytes;
  for (std::uint64_t bit = range.offset / header.chunk_bytes; bit <= last; ++bit) {
    bits[bit / 8] |= std::byte{1} << (bit % 8);
  }
}

void clear_bitmap_range(const BitmapHeader& header, ByteSpan bits, const Extent& range) {
  ASHLAR_ASSERT(within(range.offset, range.length, header.sync_bytes));
  const std::uint64_t first = (range.offset + header.chunk_bytes - 1) / header.chunk_bytes;
  // The last chunk may be a short one.
  const std::uint64_t end =
      range.end() == header.sync_bytes ? header.bits() : range.end() / header.chunk_bytes;
  for (std::uint64_t bit = first; bit < end; ++bit) {
    bits[bit / 8] &= ~(std::byte{1} << (bit % 8));
  }
}

}  // namespace ashlar::md
