// Finds a disklabel, weighs it, and gives its partitions the numbers that Linux gives.
#include "class/bsd_disklabel.h"

#include <algorithm>
#include <array>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "topology/boot_sector.h"

namespace ashlar {
namespace {

constexpr std::uint32_t kMagic = 0x82564557;
constexpr std::uint64_t kAlphaOffset = 64;
constexpr std::uint64_t kSector1Offset = 512;
constexpr std::size_t kSectorBytesAt = 40;
constexpr std::size_t kSecondMagicAt = 132;
constexpr std::size_t kCountAt = 138;
constexpr std::size_t kPartitionsAt = 148;
constexpr std::size_t kPartitionBytes = 16;
constexpr std::uint32_t kSectorBytes = 512;
constexpr std::uint32_t kRawPartition = 2;  // `c`
constexpr std::uint32_t kLinuxBareMax = 18;
constexpr std::uint32_t kLinuxSliceMax = 16;

// One partition of the label, in its own units.
struct LabelPartition {
  std::uint32_t sectors = 0;
  std::uint32_t first_sector = 0;
  std::uint8_t type = 0;
};

struct Label {
  std::uint64_t offset = 0;  // bytes, of the label itself
  std::uint32_t sector_bytes = kSectorBytes;
  bool checksum_matches = false;
  bool second_magic = false;
  std::vector<LabelPartition> partitions;

  // Where offsets count from, if they count from the raw partition; 0 where there is none.
  std::uint32_t raw_start() const {
    return partitions.size() > kRawPartition ? partitions[kRawPartition].first_sector : 0;
  }
};

std::string_view type_name(std::uint8_t type) {
  constexpr std::string_view kTypes[] = {
      "unused",         "swap",   "Version 6", "Version 7", "System V", "4.1BSD",
      "Eighth Edition", "4.2BSD", "MSDOS",     "4.4LFS",    "",         "HPFS",
      "ISO9660",        "boot",   "vinum",     "RAID"};
  if (type < std::size(kTypes)) return kTypes[type];
  if (type == 17) return "ext2";
  if (type == 18) return "NTFS";
  if (type == 20) return "ccd";
  if (type == 22) return "HAMMER";
  return type == 27 ? "ZFS" : "";
}

// The xor of all 16-bit words of a label, with its checksum in place, is zero.
bool checksum_matches(ByteView label) {
  std::uint16_t sum = 0;
  for (std::size_t at = 0; at < label.size(); at += 2) {
    sum = static_cast<std::uint16_t>(sum ^ load_le<std::uint16_t>(label, at));
  }
  return sum == 0;
}

LabelPartition parse_partition(ByteView bytes) {
  return LabelPartition{.sectors = load_le<std::uint32_t>(bytes, 0),
                        .first_sector = load_le<std::uint32_t>(bytes, 4),
                        .type = load_le<std::uint8_t>(bytes, 12)};
}

Error bad_label(TasteReader& reader, std::uint64_t at, std::string_view what) {
  return make_error(Errc::corrupt, "bsdlabel: {}: {} at byte {}", reader.name(), what, at);
}

Result<void> check_header(TasteReader& reader, ByteView header, std::uint64_t offset) {
  const auto count = load_le<std::uint16_t>(header, kCountAt);
  if (count == 0) return bad_label(reader, offset + kCountAt, "no partitions");
  if (count > kMaxBsdPartitions) {
    return bad_label(reader, offset + kCountAt, fmt::format("{} partitions", count));
  }
  return {};
}

// Reads the label at `offset`. not_found where the magic is not there.
Result<Label> read_label(TasteReader& reader, std::uint64_t offset) {
  std::array<std::byte, kPartitionsAt + kMaxBsdPartitions * kPartitionBytes> bytes;
  ByteSpan header = ByteSpan(bytes).first(kPartitionsAt);
  if (!within(offset, header.size(), reader.size_bytes())) {
    return make_error(Errc::not_found, "bsdlabel: {}: too small", reader.name());
  }
  if (Result<void> done = reader.read(offset, header); !done) return done.error();
  if (load_le<std::uint32_t>(header, 0) != kMagic) {
    return make_error(Errc::not_found, "bsdlabel: {}: no magic at byte {}", reader.name(), offset);
  }
  if (Result<void> good = check_header(reader, header, offset); !good) return good.error();
  const auto count = load_le<std::uint16_t>(header, kCountAt);
  ByteSpan rest = ByteSpan(bytes).subspan(kPartitionsAt, count * kPartitionBytes);
  if (Result<void> done = reader.read(offset + kPartitionsAt, rest); !done) return done.error();

  Label label;
  label.offset = offset;
  label.second_magic = load_le<std::uint32_t>(header, kSecondMagicAt) == kMagic;
  label.checksum_matches = checksum_matches(ByteView(bytes).first(kPartitionsAt + rest.size()));
  for (std::size_t i = 0; i < count; ++i) {
    label.partitions.push_back(parse_partition(rest.subspan(i * kPartitionBytes, kPartitionBytes)));
  }
  // Linux counts in 512 bytes whatever the label says, and finds labels up to byte 512 only. One
  // that lies in sector 1 of larger sectors counts in those.
  if (offset > kSector1Offset) label.sector_bytes = static_cast<std::uint32_t>(offset);
  return label;
}

bool is_good(const Result<Label>& label) {
  return label.ok() && label->second_magic && label->checksum_matches;
}

// Sector 1 of 4096 bytes is believed only where the label says so itself.
bool claims_sector_size(TasteReader& reader, std::uint64_t offset) {
  std::array<std::byte, 4> size;
  if (!within(offset, kPartitionsAt, reader.size_bytes())) return false;
  return reader.read(offset + kSectorBytesAt, size) && load_le<std::uint32_t>(size, 0) == offset;
}

// The first place with a good label, else the first with any.
Result<Label> find_label(TasteReader& reader, BsdFlavour flavour) {
  std::vector<std::uint64_t> offsets;
  if (flavour == BsdFlavour::bare) offsets.push_back(kAlphaOffset);
  offsets.push_back(kSector1Offset);
  if (claims_sector_size(reader, 4096)) offsets.push_back(4096);

  Result<Label> found = make_error(Errc::not_found, "bsdlabel: {}: no label", reader.name());
  for (const std::uint64_t offset : offsets) {
    Result<Label> label = read_label(reader, offset);
    if (is_good(label)) return label;
    const bool better = !found.ok() && (label.ok() || found.error().code == Errc::not_found);
    if (better) found = std::move(label);
  }
  return found;
}

// What the BSDs call a partition: a to z, then A to Z, and what comes behind by its place.
std::string letter(std::uint32_t index) {
  if (index < 26) return std::string(1, static_cast<char>('a' + index));
  if (index < 52) return std::string(1, static_cast<char>('A' + index - 26));
  return fmt::format("{}", index + 1);
}

// Turns the partitions of one label into those of a table.
class LabelReader {
 public:
  LabelReader(const Label& label, const BsdPlace& place, std::uint64_t device_bytes)
      : label_(label), place_(place), device_bytes_(device_bytes) {
    table.scheme = "bsdlabel";
    table.sector_bytes = label.sector_bytes;
  }

  void read_bare();
  void read_slice();

  PartitionTable table;

 private:
  PartitionEntry entry_for(std::uint32_t number, std::uint32_t index, std::uint64_t offset) const;
  void leave_out(std::uint32_t index);

  const Label& label_;
  const BsdPlace& place_;
  const std::uint64_t device_bytes_;
};

PartitionEntry LabelReader::entry_for(std::uint32_t number, std::uint32_t index,
                                      std::uint64_t offset) const {
  const LabelPartition& partition = label_.partitions[index];
  PartitionEntry entry;
  entry.number = number;
  entry.extent = {offset, std::uint64_t{partition.sectors} * label_.sector_bytes};
  entry.type = fmt::format("{}", partition.type);
  entry.type_name = type_name(partition.type);
  return entry;
}

void LabelReader::leave_out(std::uint32_t index) {
  add_doubt(table, fmt::format("partition {} from sector {}, {} sectors, reaches outside and is "
                               "left out",
                               letter(index), label_.partitions[index].first_sector,
                               label_.partitions[index].sectors));
}

void LabelReader::read_bare() {
  // At byte 64 Linux takes all partitions, `c` too; elsewhere `c` is the unit the others are in.
  const bool alpha = label_.offset == kAlphaOffset;
  const std::uint32_t base = alpha ? 0 : label_.raw_start();
  if (base != 0) {
    table.evidence.push_back(fmt::format("offsets count from sector {}, where c starts", base));
  }
  for (std::uint32_t i = 0; i < label_.partitions.size(); ++i) {
    const LabelPartition& partition = label_.partitions[i];
    if (partition.sectors == 0 || (!alpha && i == kRawPartition)) continue;
    if (partition.first_sector < base) {
      leave_out(i);
      continue;
    }
    const std::uint64_t first = partition.first_sector - base;
    add_entry(table, entry_for(i + 1, i, first * label_.sector_bytes), device_bytes_);
  }
}

void LabelReader::read_slice() {
  const bool relative = place_.flavour == BsdFlavour::freebsd && label_.raw_start() == 0;
  std::uint32_t number = place_.first_number;
  for (std::uint32_t i = 0; i < label_.partitions.size(); ++i) {
    const LabelPartition& partition = label_.partitions[i];
    if (partition.type == 0) continue;
    const std::uint64_t length = std::uint64_t{partition.sectors} * label_.sector_bytes;
    const std::uint64_t first = std::uint64_t{partition.first_sector} * label_.sector_bytes;
    const std::uint64_t offset = relative ? first : first - place_.slice_offset;
    const bool before = !relative && first < place_.slice_offset;
    if (!before && offset == 0 && length == device_bytes_) continue;  // the slice itself
    if (before || !within(offset, length, device_bytes_)) {
      leave_out(i);
      continue;
    }
    add_entry(table, entry_for(number++, i, offset), device_bytes_);
  }
  table.next_number = number;
}

void weigh(PartitionTable& table, const Label& label, BsdFlavour flavour) {
  table.evidence.push_back(fmt::format("the magic at byte {}", label.offset));
  table.confidence = 30;
  if (!label.second_magic) {
    add_doubt(table,
              fmt::format("the second magic at byte {} is missing", label.offset + kSecondMagicAt));
  } else if (label.checksum_matches) {
    table.evidence.push_back(
        fmt::format("the checksum over {} partitions matches", label.partitions.size()));
    table.confidence = 70;
  } else {
    add_doubt(table,
              fmt::format("the checksum at byte {} does not match; Linux does not look at it",
                          label.offset + kSecondMagicAt + 4));
  }
  const std::uint32_t most = flavour == BsdFlavour::bare ? kLinuxBareMax : kLinuxSliceMax;
  if (label.partitions.size() > most) {
    add_doubt(table, fmt::format("{} partitions; Linux reads {}", label.partitions.size(), most));
  }
}

// A bare disk with another scheme in sector 0 is that scheme's: Linux asks gpt and mbr first.
Result<void> check_bare(TasteReader& reader) {
  std::array<std::byte, kBootSectorBytes> sector;
  const Result<void> done = reader.read(0, sector);
  if (!done) return done.error();
  const BootSector boot = parse_boot_sector(sector);
  if (!boot.protective() && !boot.is_partition_table()) return {};
  return make_error(Errc::not_found, "bsdlabel: {}: sector 0 holds an MBR, which comes first",
                    reader.name());
}

}  // namespace

std::optional<BsdFlavour> bsd_flavour(std::uint8_t mbr_type) noexcept {
  if (mbr_type == 0xa5) return BsdFlavour::freebsd;
  if (mbr_type == 0xa6) return BsdFlavour::openbsd;
  if (mbr_type == 0xa9) return BsdFlavour::netbsd;
  return std::nullopt;
}

Result<PartitionTable> read_bsdlabel(TasteReader& reader, const BsdPlace& place) {
  const bool bare = place.flavour == BsdFlavour::bare;
  if (reader.size_bytes() < 2 * kBootSectorBytes) {
    return make_error(Errc::not_found, "bsdlabel: {}: smaller than two sectors", reader.name());
  }
  if (bare) {
    if (Result<void> free = check_bare(reader); !free) return free.error();
  }
  const Result<Label> label = find_label(reader, place.flavour);
  if (!label) return label.error();
  if (bare && !label->second_magic) {
    return bad_label(reader, label->offset + kSecondMagicAt, "the second magic is missing");
  }
  LabelReader parts(*label, place, reader.size_bytes());
  weigh(parts.table, *label, place.flavour);
  bare ? parts.read_bare() : parts.read_slice();
  note_overlaps(parts.table);
  return std::move(parts.table);
}

}  // namespace ashlar
