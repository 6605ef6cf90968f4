// Chooses between the copies of a GPT, and turns the entries of the chosen one into partitions.
#include "class/gpt/gpt_table.h"

#include <algorithm>
#include <array>
#include <utility>
#include <vector>

#include "class/gpt/gpt_copy.h"
#include "class/gpt/gpt_text.h"
#include "topology/boot_sector.h"

namespace ashlar {
namespace {

constexpr std::size_t kTypeAt = 0;
constexpr std::size_t kUuidAt = 16;
constexpr std::size_t kFirstLbaAt = 32;
constexpr std::size_t kLastLbaAt = 40;
constexpr std::size_t kAttributesAt = 48;
constexpr std::size_t kNameAt = 56;
constexpr std::size_t kNameBytes = 72;

// The copies found under the assumption of one sector size.
struct GptPair {
  GptCopy primary;
  GptCopy backup;

  bool any_valid() const { return primary.valid() || backup.valid(); }
  bool any_trace() const {
    return primary.state != GptCopy::State::absent || backup.state != GptCopy::State::absent;
  }
};

GptPair read_pair(TasteReader& reader, std::uint32_t sector_bytes) {
  const std::uint64_t sectors = reader.size_bytes() / sector_bytes;
  if (sectors < 2) return {};
  GptPair pair;
  pair.primary = read_gpt_copy(reader, sector_bytes, 1);
  const std::uint64_t last = sectors - 1;
  const bool pointed = pair.primary.state != GptCopy::State::absent && pair.primary.other_lba > 1 &&
                       pair.primary.other_lba < last;
  // A whole primary knows where its backup is; the end of the disk comes first where it is not.
  const std::uint64_t first_try = pointed && pair.primary.valid() ? pair.primary.other_lba : last;
  const std::uint64_t second_try = first_try == last ? pair.primary.other_lba : last;
  pair.backup = read_gpt_copy(reader, sector_bytes, first_try);
  if (!pair.backup.valid() && pointed) {
    GptCopy other = read_gpt_copy(reader, sector_bytes, second_try);
    if (other.valid()) pair.backup = std::move(other);
  }
  return pair;
}

std::vector<std::uint32_t> candidate_sector_sizes(TasteReader& reader) {
  std::vector<std::uint32_t> sizes;
  const std::uint32_t hint = reader.block_size_bytes();
  for (const std::uint32_t size : {hint, 512U, 4096U}) {
    const bool usable = is_power_of_two(size) && size >= 512 && size <= 4096;
    if (usable && std::find(sizes.begin(), sizes.end(), size) == sizes.end()) sizes.push_back(size);
  }
  return sizes;
}

// The first size with a whole primary, else the first with a whole backup, else the first with
// any trace of a GPT, else the first.
GptPair choose_pair(TasteReader& reader) {
  GptPair best;
  for (const std::uint32_t size : candidate_sector_sizes(reader)) {
    GptPair pair = read_pair(reader, size);
    if (pair.primary.valid()) return pair;
    const bool better = (pair.any_valid() && !best.any_valid()) ||
                        (pair.any_trace() && !best.any_trace()) || best.primary.sector_bytes == 0;
    if (better) best = std::move(pair);
  }
  return best;
}

// What is different between the copies, in words; empty where they agree.
std::string difference(const GptCopy& a, const GptCopy& b) {
  if (a.disk_guid != b.disk_guid) return "disk GUID";
  if (a.entry_count != b.entry_count) return "number of entries";
  if (a.entry_bytes != b.entry_bytes) return "size of an entry";
  if (a.array_crc != b.array_crc) return "entries";
  if (a.first_usable_lba != b.first_usable_lba) return "first usable sector";
  if (a.last_usable_lba != b.last_usable_lba) return "last usable sector";
  return {};
}

void compare_copies(PartitionTable& table, const GptPair& pair, std::uint64_t last_lba) {
  const std::uint64_t backup_lba = pair.backup.header_offset / pair.backup.sector_bytes;
  const std::string unequal = difference(pair.primary, pair.backup);
  if (unequal.empty()) {
    table.evidence.push_back(
        fmt::format("the backup header at byte {} agrees", pair.backup.header_offset));
  } else {
    add_doubt(table, fmt::format("the copies differ in their {}; the primary is used", unequal));
  }
  if (backup_lba != last_lba) {
    add_doubt(table, fmt::format("the backup header is in sector {}, not in the last one, {}: the "
                                 "device has grown",
                                 backup_lba, last_lba));
  }
}

void weigh_copies(PartitionTable& table, const GptPair& pair, std::uint64_t last_lba) {
  const GptCopy& used = pair.primary.valid() ? pair.primary : pair.backup;
  table.evidence.push_back(fmt::format(
      "the {} header at byte {} and its {} entries match their "
      "checksums",
      &used == &pair.primary ? "primary" : "backup", used.header_offset, used.entry_count));
  if (pair.primary.valid() && pair.backup.valid()) return compare_copies(table, pair, last_lba);
  if (pair.primary.valid()) {
    add_doubt(table,
              fmt::format("the backup GPT is lost ({}); the primary is used", pair.backup.problem));
  } else {
    add_doubt(table, fmt::format("the primary GPT is damaged ({}); the backup at byte {} is used",
                                 pair.primary.problem, used.header_offset));
  }
}

void check_usable_range(PartitionTable& table, const GptCopy& used, std::uint64_t last_lba) {
  if (used.last_usable_lba > last_lba) {
    add_doubt(table, fmt::format("the table was made for a larger device: its last usable sector "
                                 "is {}, the device ends with sector {}",
                                 used.last_usable_lba, last_lba));
  }
  if (!is_power_of_two(used.entry_bytes)) {
    add_doubt(table,
              fmt::format("entries of {} bytes, not 128 times a power of two", used.entry_bytes));
  }
}

bool is_unused(ByteView entry) {
  const ByteView type = entry.subspan(kTypeAt, kGuidBytes);
  return std::all_of(type.begin(), type.end(), [](std::byte byte) { return byte == std::byte{0}; });
}

// Sectors of an entry, both ends included.
struct LbaRange {
  std::uint64_t first;
  std::uint64_t last;
};

PartitionEntry decode_entry(ByteView entry, std::uint32_t number, const LbaRange& range,
                            std::uint32_t sector_bytes) {
  PartitionEntry result;
  result.number = number;
  result.extent = {range.first * sector_bytes, (range.last - range.first + 1) * sector_bytes};
  result.type = guid_text(entry.subspan(kTypeAt, kGuidBytes));
  result.type_name = gpt_type_name(result.type);
  result.uuid = guid_text(entry.subspan(kUuidAt, kGuidBytes));
  result.label = utf8_from_utf16le(entry.subspan(kNameAt, kNameBytes));
  result.attributes = load_le<std::uint64_t>(entry, kAttributesAt);
  return result;
}

void add_gpt_entry(PartitionTable& table, const GptCopy& used, std::uint32_t index,
                   std::uint64_t device_bytes) {
  const ByteView entry = used.entry(index);
  const LbaRange range{load_le<std::uint64_t>(entry, kFirstLbaAt),
                       load_le<std::uint64_t>(entry, kLastLbaAt)};
  const std::uint64_t last_lba = device_bytes / used.sector_bytes - 1;
  if (range.first > last_lba || range.last > last_lba || range.last < range.first) {
    add_doubt(table, fmt::format("partition {} from sector {} to {} does not lie on the device, "
                                 "which ends with sector {}, and is left out",
                                 index + 1, range.first, range.last, last_lba));
    return;
  }
  if (range.first < used.first_usable_lba || range.last > used.last_usable_lba) {
    add_doubt(table, fmt::format("partition {} from sector {} to {} lies outside the usable "
                                 "sectors, {} to {}",
                                 index + 1, range.first, range.last, used.first_usable_lba,
                                 used.last_usable_lba));
  }
  add_entry(table, decode_entry(entry, index + 1, range, used.sector_bytes), device_bytes);
}

void add_entries(PartitionTable& table, const GptCopy& used, std::uint64_t device_bytes) {
  for (std::uint32_t i = 0; i < used.entry_count; ++i) {
    if (is_unused(used.entry(i))) continue;
    if (table.entries.size() == kMaxGptPartitions) {
      add_doubt(table, fmt::format("partitions from number {} on are left out, behind {} others",
                                   i + 1, kMaxGptPartitions));
      return;
    }
    add_gpt_entry(table, used, i, device_bytes);
  }
}

void describe_boot_sector(PartitionTable& table, const BootSector& boot) {
  if (!boot.protective()) {
    add_doubt(table, "sector 0 is empty where the protective MBR should be");
    return;
  }
  const auto others = std::count_if(boot.slots.begin(), boot.slots.end(), [](const auto& slot) {
    return slot.type != 0 && slot.type != kProtectiveType;
  });
  table.evidence.push_back(
      others == 0
          ? std::string("a protective MBR in sector 0")
          : fmt::format("a hybrid MBR in sector 0; its {} other partitions are not used", others));
  const bool from_1 = std::any_of(boot.slots.begin(), boot.slots.end(), [](const auto& slot) {
    return slot.type == kProtectiveType && slot.first_sector == 1;
  });
  if (!from_1) add_doubt(table, "the protective slot of the MBR does not start in sector 1");
}

PartitionTable make_table(const GptPair& pair, const BootSector& boot, std::uint64_t device_bytes) {
  const GptCopy& used = pair.primary.valid() ? pair.primary : pair.backup;
  const std::uint64_t last_lba = device_bytes / used.sector_bytes - 1;
  PartitionTable table;
  table.scheme = "gpt";
  table.sector_bytes = used.sector_bytes;
  table.disk_uuid = used.disk_guid;
  describe_boot_sector(table, boot);
  weigh_copies(table, pair, last_lba);
  table.confidence = pair.primary.valid() && pair.backup.valid() ? 100 : 80;
  if (!boot.protective()) table.confidence -= 20;
  check_usable_range(table, used, last_lba);
  add_entries(table, used, device_bytes);
  note_overlaps(table);
  return table;
}

Error no_table(TasteReader& reader, const BootSector& boot, const GptPair& pair) {
  if (!boot.protective() && pair.primary.state == GptCopy::State::absent) {
    return make_error(Errc::not_found, "gpt: {}: no protective MBR and no primary header",
                      reader.name());
  }
  return make_error(Errc::corrupt, "gpt: {}: neither copy can be used: {}; {}", reader.name(),
                    pair.primary.problem, pair.backup.problem);
}

}  // namespace

Result<PartitionTable> read_gpt(TasteReader& reader) {
  if (reader.size_bytes() < 2 * kBootSectorBytes) {
    return make_error(Errc::not_found, "gpt: {}: smaller than two sectors", reader.name());
  }
  std::array<std::byte, kBootSectorBytes> sector;
  const Result<void> done = reader.read(0, sector);
  if (!done) return done.error();
  const BootSector boot = parse_boot_sector(sector);
  if (!boot.protective() && !boot.blank) {
    return make_error(Errc::not_found, "gpt: {}: no protective MBR in sector 0", reader.name());
  }
  const GptPair pair = choose_pair(reader);
  // Without a protective MBR and any trace of a primary, a lone backup is what a disk had before it
  // was used for something else that starts with zeros.
  const bool in_use = boot.protective() || pair.primary.state != GptCopy::State::absent;
  if (in_use && pair.any_valid()) return make_table(pair, boot, reader.size_bytes());
  return no_table(reader, boot, pair);
}

}  // namespace ashlar
