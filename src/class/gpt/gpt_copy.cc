// Checks one copy of a GPT in the order in which its parts can be trusted: the size of the header,
// then its checksum, then its numbers, then the array's checksum.
#include "class/gpt/gpt_copy.h"

#include <fmt/core.h>
#include <isa-l/crc.h>

#include <algorithm>
#include <utility>

#include "class/gpt/gpt_text.h"

namespace ashlar {
namespace {

constexpr std::uint32_t kHeaderBytes = 92;  // the least, and what revision 1.0 has
constexpr std::size_t kHeaderCrcAt = 16;

std::uint32_t crc32(ByteView bytes) {
  return crc32_gzip_refl(0, reinterpret_cast<const unsigned char*>(bytes.data()), bytes.size());
}

std::uint64_t sectors_of(TasteReader& reader, std::uint32_t sector_bytes) {
  return reader.size_bytes() / sector_bytes;
}

// A sentence about the field at byte `at` of the header.
template <typename... Args>
std::string at_field(const GptCopy& copy, std::size_t at, fmt::format_string<Args...> format,
                     Args&&... args) {
  return fmt::format("{} at byte {}", fmt::format(format, std::forward<Args>(args)...),
                     copy.header_offset + at);
}

// The header's checksum is computed with its own four bytes as zero.
std::string check_header_crc(const GptCopy& copy, std::vector<std::byte>& sector) {
  const auto size = load_le<std::uint32_t>(sector, 12);
  if (size < kHeaderBytes || size > sector.size()) {
    return at_field(copy, 12, "header size {}", size);
  }
  const auto stored = load_le<std::uint32_t>(sector, kHeaderCrcAt);
  store_le<std::uint32_t>(sector, kHeaderCrcAt, 0);
  const std::uint32_t computed = crc32(ByteView(sector).first(size));
  if (stored == computed) return {};
  return at_field(copy, kHeaderCrcAt, "header CRC {:08x} instead of {:08x}", stored, computed);
}

void decode(GptCopy& copy, ByteView header) {
  copy.other_lba = load_le<std::uint64_t>(header, 32);
  copy.first_usable_lba = load_le<std::uint64_t>(header, 40);
  copy.last_usable_lba = load_le<std::uint64_t>(header, 48);
  copy.disk_guid = guid_text(header.subspan(56, kGuidBytes));
  copy.array_lba = load_le<std::uint64_t>(header, 72);
  copy.entry_count = load_le<std::uint32_t>(header, 80);
  copy.entry_bytes = load_le<std::uint32_t>(header, 84);
  copy.array_crc = load_le<std::uint32_t>(header, 88);
}

// The last usable sector may lie past the end: the table of a larger disk is still good for the
// partitions that are here.
std::string check_places(const GptCopy& copy, std::uint64_t own_lba, std::uint64_t lba,
                         std::uint64_t sectors) {
  if (own_lba != lba) return at_field(copy, 24, "own sector {} instead of {}", own_lba, lba);
  if (copy.first_usable_lba >= sectors) {
    return at_field(copy, 40, "first usable sector {} of {}", copy.first_usable_lba, sectors);
  }
  if (copy.last_usable_lba < copy.first_usable_lba) {
    return at_field(copy, 48, "last usable sector {} before the first one", copy.last_usable_lba);
  }
  return {};
}

std::string check_array_shape(const GptCopy& copy, std::uint64_t device_bytes) {
  // 128 x 2^n since UEFI 2.3.1, any multiple of 8 before.
  if (copy.entry_bytes < kGptEntryBytes || copy.entry_bytes % 8 != 0) {
    return at_field(copy, 84, "entry size {}", copy.entry_bytes);
  }
  if (copy.entry_count == 0) return at_field(copy, 80, "no entries");
  const std::uint64_t bytes = std::uint64_t{copy.entry_count} * copy.entry_bytes;
  if (bytes > kMaxGptArrayBytes) {
    return at_field(copy, 80, "{} entries of {} bytes, more than the {} bytes that are read",
                    copy.entry_count, copy.entry_bytes, kMaxGptArrayBytes);
  }
  const std::uint64_t sectors = device_bytes / copy.sector_bytes;
  if (copy.array_lba >= sectors ||
      !within(copy.array_lba * copy.sector_bytes, bytes, device_bytes)) {
    return at_field(copy, 72, "entries in sector {} of {}", copy.array_lba, sectors);
  }
  return {};
}

std::string read_array(TasteReader& reader, GptCopy& copy) {
  const std::uint64_t offset = copy.array_lba * copy.sector_bytes;
  copy.array.resize(std::size_t{copy.entry_count} * copy.entry_bytes);
  const Result<void> done = reader.read(offset, copy.array);
  if (!done) return fmt::format("entries at byte {}: {}", offset, done.error().message);
  const std::uint32_t computed = crc32(copy.array);
  if (computed == copy.array_crc) return {};
  return fmt::format("entries at byte {} with CRC {:08x} instead of {:08x}", offset, computed,
                     copy.array_crc);
}

// Everything behind the signature; empty where the copy is valid.
std::string check(TasteReader& reader, GptCopy& copy, std::vector<std::byte>& sector,
                  std::uint64_t lba) {
  decode(copy, sector);
  const auto own_lba = load_le<std::uint64_t>(sector, 24);
  std::string problem = check_header_crc(copy, sector);
  if (problem.empty()) {
    problem = check_places(copy, own_lba, lba, sectors_of(reader, copy.sector_bytes));
  }
  if (problem.empty()) problem = check_array_shape(copy, reader.size_bytes());
  if (problem.empty()) problem = read_array(reader, copy);
  return problem;
}

}  // namespace

ByteView GptCopy::entry(std::uint32_t index) const {
  ASHLAR_ASSERT(valid());
  ASHLAR_ASSERT(index < entry_count);
  return ByteView(array).subspan(std::size_t{index} * entry_bytes, kGptEntryBytes);
}

GptCopy read_gpt_copy(TasteReader& reader, std::uint32_t sector_bytes, std::uint64_t lba) {
  ASHLAR_ASSERT(is_power_of_two(sector_bytes));
  ASHLAR_ASSERT(sector_bytes >= 512);
  GptCopy copy;
  copy.sector_bytes = sector_bytes;
  if (lba >= sectors_of(reader, sector_bytes)) {
    copy.problem = fmt::format("sector {} is past the end of the device", lba);
    return copy;
  }
  copy.header_offset = lba * sector_bytes;
  std::vector<std::byte> sector(sector_bytes);
  const Result<void> done = reader.read(copy.header_offset, sector);
  const ByteView signature = as_bytes("EFI PART");
  if (!done) {
    copy.problem = fmt::format("byte {}: {}", copy.header_offset, done.error().message);
  } else if (!std::equal(signature.begin(), signature.end(), sector.begin())) {
    copy.problem = fmt::format("no \"EFI PART\" at byte {}", copy.header_offset);
  } else {
    copy.problem = check(reader, copy, sector, lba);
    copy.state = copy.problem.empty() ? GptCopy::State::valid : GptCopy::State::damaged;
  }
  if (!copy.valid()) copy.array = {};
  return copy;
}

}  // namespace ashlar
