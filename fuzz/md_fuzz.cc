// Fuzzes what reads md's metadata. An input is a row of pieces, each the metadata of one device:
//
//   1 byte   which superblock: 0 to 3 for 0.90, 1.0, 1.1, 1.2; the other bits give the device's
//   size 4096     the superblock 256 + 64 the header of the bitmap, and bits 64       the log of
//   bad blocks
//
// What the input ends in the middle of is zeros. Each superblock is read as it is, and with its
// place and its checksum made right, which no mutation would find; then all of them are assembled.
#include <algorithm>
#include <vector>

#include "md/assembly.h"
#include "md/bad_blocks.h"
#include "md/bitmap.h"

namespace {

using namespace ashlar;
using namespace ashlar::md;

constexpr std::size_t kBitmapBytes = kBitmapHeaderBytes + 64;
constexpr std::size_t kLogBytes = 64;
constexpr std::size_t kPieceBytes = 1 + kSuperblockBytes + kBitmapBytes + kLogBytes;
constexpr std::size_t kMaxPieces = 16;
constexpr Version kByNumber[] = {Version::v0_90, Version::v1_0, Version::v1_1, Version::v1_2};

void check_error(const Error& error) {
  ASHLAR_ASSERT(error.code != Errc::ok);
  ASHLAR_ASSERT(!error.message.empty());
}

std::uint32_t sum_of(ByteView block, std::size_t bytes, std::size_t skip) {
  std::uint64_t sum = 0;
  for (std::size_t at = 0; at + 2 <= bytes; at += 4) {
    if (at == skip) continue;
    sum += at + 4 <= bytes ? load_le<std::uint32_t>(block, at) : load_le<std::uint16_t>(block, at);
  }
  return static_cast<std::uint32_t>(sum) + static_cast<std::uint32_t>(sum >> 32);
}

void seal(ByteSpan block, Version version, std::uint64_t device_bytes) {
  store_le<std::uint32_t>(block, 0, 0xa92b4efc);
  if (version == Version::v0_90) {
    store_le<std::uint32_t>(block, 4, 0);
    store_le(block, 152, sum_of(block, kSuperblockBytes, 152));
    return;
  }
  store_le<std::uint32_t>(block, 4, 1);
  store_le(block, 144, superblock_offset(version, device_bytes).value_or(0) / 512);
  const std::size_t roles = std::min(load_le<std::uint32_t>(block, 220), kMaxDevices);
  store_le(block, 216, sum_of(block, 256 + 2 * roles, 216));
}

void check_layout(const Layout& layout, std::uint32_t members) {
  ASHLAR_ASSERT(layout.array_bytes() > 0 && layout.array_bytes() <= kMaxArrayBytes);
  for (std::uint64_t part = 0; part < 16; ++part) {
    const std::uint64_t at = std::min(layout.array_bytes() / 15 * part, layout.array_bytes() - 1);
    for (std::uint32_t copy = 0; copy < std::min(layout.copies(), 8u); ++copy) {
      const Place place = layout.place(at, copy);
      ASHLAR_ASSERT(place.role < members && place.run_bytes > 0);
      const Content content = layout.content(place.role, place.offset_bytes);
      ASHLAR_ASSERT(content.kind == Content::Kind::data && content.array_offset_bytes == at);
      ASHLAR_ASSERT(content.copy == copy);
    }
  }
}

void check_superblock(const Superblock& superblock, ByteView block, std::uint64_t device_bytes) {
  const std::vector<std::byte> again = serialise_superblock(superblock);
  ASHLAR_ASSERT(std::equal(again.begin(), again.end(), block.begin()));
  if (!superblock.unsupported.empty()) return;
  ASHLAR_ASSERT(within(superblock.data_offset_bytes, superblock.data_bytes, device_bytes));
  ASHLAR_ASSERT(superblock.raid_disks >= 1 && superblock.raid_disks <= kMaxDevices);
  Superblock changed = superblock;
  changed.events ^= 1;
  changed.resync_offset_bytes = kAll;
  const auto parsed =
      parse_superblock(serialise_superblock(changed), superblock.version, device_bytes);
  ASHLAR_ASSERT(parsed && parsed->events == changed.events && parsed->clean());
}

void check_bitmap(const Superblock& superblock, ByteView piece, std::uint64_t device_bytes) {
  const std::uint64_t room =
      superblock.has_bitmap ? bitmap_room_bytes(superblock, device_bytes) : piece.size();
  const Result<BitmapHeader> bitmap = parse_bitmap(piece, room);
  if (!bitmap) return check_error(bitmap.error());
  const std::vector<std::byte> again = serialise_bitmap(*bitmap);
  ASHLAR_ASSERT(std::equal(again.begin(), again.end(), piece.begin()));
  ASHLAR_ASSERT(bitmap->total_bytes() <= std::min(room, kMaxBitmapBytes));
  if (auto trusted = distrust_bitmap(*bitmap, superblock, superblock.component_bytes); !trusted) {
    check_error(trusted.error());
  }
  if (bitmap->total_bytes() > piece.size()) return;
  std::uint64_t end = 0;
  for (const Extent& each : bitmap_ranges(*bitmap, piece.subspan(kBitmapHeaderBytes))) {
    ASHLAR_ASSERT(each.length > 0 && (end == 0 || each.offset > end));
    end = each.end();
    ASHLAR_ASSERT(end <= bitmap->sync_bytes);
  }
}

void check_log(const Superblock& superblock, ByteView piece, std::uint64_t device_bytes) {
  BadBlockLog place = superblock.bad_blocks;
  place.bytes = kLogBytes;
  const Result<std::vector<Extent>> ranges = parse_bad_blocks(piece, place, device_bytes);
  if (!ranges) return check_error(ranges.error());
  for (const Extent& each : *ranges) {
    ASHLAR_ASSERT(each.length > 0 && within(each.offset, each.length, device_bytes));
  }
  // Entries longer than the kernel's own become more of them.
  place.bytes = 2 * kLogBytes;
  const auto written = serialise_bad_blocks(*ranges, place);
  ASHLAR_ASSERT(written || written.error().code == Errc::no_space);
  if (written) ASHLAR_ASSERT(*parse_bad_blocks(*written, place, device_bytes) == *ranges);
}

void check_assembly(const Assembly& assembly, const std::vector<Candidate>& candidates,
                    std::vector<int>& seen) {
  ASHLAR_ASSERT(assembly.members.size() == assembly.replacements.size());
  for (const auto* places : {&assembly.members, &assembly.replacements}) {
    for (const auto& each : *places) {
      if (each) ++seen[each->candidate];
    }
  }
  for (const std::size_t each : assembly.spares) ++seen[each];
  for (const LeftOut& each : assembly.left_out) {
    ++seen[each.candidate];
    ASHLAR_ASSERT(!each.reason.empty());
  }
  ASHLAR_ASSERT(assembly.layout || !assembly.refusal.empty());
  const std::uint32_t members = candidates[assembly.freshest].superblock.raid_disks;
  if (assembly.layout) check_layout(*assembly.layout, members);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  std::vector<Candidate> candidates;
  for (std::size_t at = 0; at < size && at < kMaxPieces * kPieceBytes; at += kPieceBytes) {
    std::vector<std::byte> piece(kPieceBytes);
    std::transform(data + at, data + std::min(size, at + kPieceBytes), piece.begin(),
                   [](std::uint8_t byte) { return std::byte{byte}; });
    const auto choice = std::to_integer<unsigned>(piece[0]);
    const Version version = kByNumber[choice % 4];
    // From 16 KiB to beyond what a device can have; 64 MiB for a choice of 4 to 7.
    const std::uint64_t device_bytes =
        choice / 4 == 1 ? 64 * kMiB : std::uint64_t{1} << (14 + choice / 4 % 50);
    const ByteSpan block = ByteSpan(piece).subspan(1, kSuperblockBytes);
    for (const bool sealed : {false, true}) {
      if (sealed) seal(block, version, device_bytes);
      Result<Superblock> parsed = parse_superblock(block, version, device_bytes);
      if (!parsed) {
        check_error(parsed.error());
        continue;
      }
      check_superblock(*parsed, block, device_bytes);
      if (!sealed) continue;
      const ByteView rest = ByteView(piece).subspan(1 + kSuperblockBytes);
      if (parsed->unsupported.empty()) {
        check_bitmap(*parsed, rest.first(kBitmapBytes), device_bytes);
        check_log(*parsed, rest.subspan(kBitmapBytes), device_bytes);
      }
      candidates.push_back({fmt::format("disk{}", at / kPieceBytes), std::move(*parsed)});
    }
  }
  std::vector<int> seen(candidates.size());
  for (const Assembly& each : assemble(candidates)) check_assembly(each, candidates, seen);
  ASHLAR_ASSERT(std::all_of(seen.begin(), seen.end(), [](int count) { return count == 1; }));
  return 0;
}
