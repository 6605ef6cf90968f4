// The MBR's walk: sector 0, then the chain of EBRs behind each extended partition.
//
// Invariants:
// 1. Every EBR is read at most once, so a chain of any shape ends.
// 2. Numbers are given out as Linux gives them: a logical partition that lies past the end of the
//    device still uses up its number.
#include "class/mbr/mbr_table.h"

#include <algorithm>
#include <array>
#include <string>
#include <unordered_set>

#include "class/bsd_disklabel.h"
#include "class/mbr/mbr_types.h"
#include "class/slice_reader.h"
#include "topology/boot_sector.h"

namespace ashlar {
namespace {

constexpr std::uint32_t kFirstLogical = 5;
constexpr std::uint32_t kSmallestSector = 512;
constexpr std::uint32_t kLargestSector = 4096;
constexpr std::uint32_t kAixMagic = 0xc9c2d4c1;  // "IBMA" in EBCDIC

struct Slot : BootSectorSlot {
  bool used() const { return sectors != 0; }
  bool extended() const { return used() && is_extended_mbr_type(type); }
};

using Slots = std::array<Slot, 4>;

Slots slots_of(const BootSector& sector) {
  Slots slots;
  for (std::size_t i = 0; i < slots.size(); ++i) slots[i] = Slot{sector.slots[i]};
  return slots;
}

Result<BootSector> read_boot_sector(TasteReader& reader, std::uint64_t offset) {
  std::array<std::byte, kBootSectorBytes> bytes;
  const Result<void> done = reader.read(offset, bytes);
  if (!done) return done.error();
  return parse_boot_sector(bytes);
}

// An AIX disk can carry 55 aa in its first sector; its volume group descriptor is in sector 7.
bool is_aix(TasteReader& reader, const Slots& slots) {
  std::array<std::byte, 4> magic;
  if (!reader.read(0, magic) || load_be<std::uint32_t>(magic, 0) != kAixMagic) return false;
  const bool linux_uses_it = std::any_of(slots.begin(), slots.end(), [](const Slot& slot) {
    return slot.type == 0x82 || slot.type == 0x83 || slot.type == 0x8e || slot.type == 0xfd ||
           is_extended_mbr_type(slot.type);
  });
  if (linux_uses_it || !reader.read(7 * kSmallestSector, magic)) return false;
  return std::equal(magic.begin(), magic.end(), as_bytes("_LVM").begin());
}

// Why `sector` holds no table of ours; empty where it does.
std::string refusal(TasteReader& reader, const BootSector& sector) {
  if (!sector.signature) return "no 55 aa at byte 510";
  if (sector.protective()) return "a slot of type 0xee hands the disk over to gpt";
  if (!sector.boot_flags_valid) return "boot flags from byte 446 on are those of a file system";
  if (!sector.is_partition_table()) return "55 aa at byte 510, but no slot is used";
  if (is_aix(reader, slots_of(sector))) return "an AIX label";
  return {};
}

// One walk over the table of one device.
class MbrWalk {
 public:
  MbrWalk(TasteReader& reader, const BootSector& first, std::uint32_t sector_bytes);

  // Reads the primary slots and what hangs off them. ENSURES: table is complete.
  void run();

  PartitionTable table;

 private:
  void add_primary(std::uint32_t number, const Slot& slot);
  // Reads the labels in BSD slices as far as their number of partitions matters to the next slice.
  void number_slices();
  void walk_chain(const Slot& extended);
  // Adds the data partitions of one EBR; true where there was at least one.
  bool add_logicals(const Slots& slots, std::uint64_t ebr, std::uint64_t window_sectors,
                    const Slot& extended);
  Result<BootSector> read_ebr(std::uint64_t sector);
  bool numbers_left();
  PartitionEntry entry_for(std::uint32_t number, const Slot& slot, std::uint64_t first) const;

  TasteReader& reader_;
  const Slots primary_;
  const std::uint32_t disk_signature_;
  std::uint32_t next_logical_ = kFirstLogical;
  std::unordered_set<std::uint64_t> visited_;
};

MbrWalk::MbrWalk(TasteReader& reader, const BootSector& first, std::uint32_t sector_bytes)
    : reader_(reader), primary_(slots_of(first)), disk_signature_(first.disk_signature) {
  table.scheme = "mbr";
  table.sector_bytes = sector_bytes;
  if (disk_signature_ != 0) table.disk_uuid = fmt::format("{:08x}", disk_signature_);
}

PartitionEntry MbrWalk::entry_for(std::uint32_t number, const Slot& slot,
                                  std::uint64_t first) const {
  PartitionEntry entry;
  entry.number = number;
  entry.extent = {first * table.sector_bytes, std::uint64_t{slot.sectors} * table.sector_bytes};
  entry.type = fmt::format("0x{:02x}", slot.type);
  entry.type_name = mbr_type_name(slot.type);
  entry.attributes = slot.boot_flag == 0x80 ? 1 : 0;
  if (disk_signature_ != 0) entry.uuid = fmt::format("{:08x}-{:02x}", disk_signature_, number);
  return entry;
}

void MbrWalk::add_primary(std::uint32_t number, const Slot& slot) {
  PartitionEntry entry = entry_for(number, slot, slot.first_sector);
  entry.container = slot.extended();
  if (slot.first_sector == 0) {
    add_doubt(table, fmt::format("partition {} starts at byte 0 and so contains the table itself",
                                 number));
  }
  if (slot.type == 0) {
    add_doubt(table, fmt::format("partition {} has type 0 and yet a size; Linux shows it", number));
  }
  add_entry(table, std::move(entry), reader_.size_bytes());
}

bool MbrWalk::numbers_left() {
  if (next_logical_ <= kMaxMbrPartition) return true;
  add_doubt(table, fmt::format("the chain goes on behind partition {}, the last that Linux numbers",
                               kMaxMbrPartition));
  return false;
}

bool MbrWalk::add_logicals(const Slots& slots, std::uint64_t ebr, std::uint64_t window_sectors,
                           const Slot& extended) {
  bool found = false;
  for (std::size_t i = 0; i < slots.size(); ++i) {
    const Slot& slot = slots[i];
    if (!slot.used() || slot.extended()) continue;
    const std::uint64_t first = ebr + slot.first_sector;
    const std::uint64_t end = first + slot.sectors;
    // Some tools leave garbage in the third and fourth slot: believed only inside the chain's link
    // and inside the extended partition.
    const std::uint64_t area_end = std::uint64_t{extended.first_sector} + extended.sectors;
    const bool inside = std::uint64_t{slot.first_sector} + slot.sectors <= window_sectors &&
                        first >= extended.first_sector && end <= area_end;
    if (i >= 2 && !inside) continue;
    if (!numbers_left()) return found;
    add_entry(table, entry_for(next_logical_++, slot, first), reader_.size_bytes());
    found = true;
  }
  return found;
}

Result<BootSector> MbrWalk::read_ebr(std::uint64_t sector) {
  const std::uint64_t offset = sector * table.sector_bytes;
  if (!visited_.insert(sector).second) {
    return make_error(Errc::corrupt, "the chain of logical partitions comes back to byte {}",
                      offset);
  }
  Result<BootSector> ebr = read_boot_sector(reader_, offset);
  if (!ebr) {
    return make_error(ebr.error().code, "the chain of logical partitions ends at byte {}, {}",
                      offset, ebr.error().message);
  }
  if (!ebr->signature) {
    return make_error(Errc::corrupt,
                      "the chain of logical partitions ends at byte {}, where 55 aa is missing",
                      offset);
  }
  return ebr;
}

void MbrWalk::walk_chain(const Slot& extended) {
  std::uint64_t ebr_sector = extended.first_sector;
  std::uint64_t window_sectors = extended.sectors;
  for (int empty_links = 0; empty_links < kMaxEmptyLinks; ++empty_links) {
    const Result<BootSector> ebr = read_ebr(ebr_sector);
    if (!ebr) return add_doubt(table, ebr.error().message);
    const Slots slots = slots_of(*ebr);
    if (add_logicals(slots, ebr_sector, window_sectors, extended)) empty_links = -1;
    const auto link =
        std::find_if(slots.begin(), slots.end(), [](const Slot& slot) { return slot.extended(); });
    if (link == slots.end() || !numbers_left()) return;
    ebr_sector = std::uint64_t{extended.first_sector} + link->first_sector;
    window_sectors = link->sectors;
  }
  add_doubt(table, fmt::format("{} links without a logical partition; the chain is not followed "
                               "further",
                               kMaxEmptyLinks));
}

void MbrWalk::number_slices() {
  for (PartitionEntry& entry : table.entries) {
    if (entry.number >= kFirstLogical) continue;
    const auto flavour = bsd_flavour(primary_[entry.number - 1].type);
    if (!flavour) continue;
    entry.nested_number = table.next_number;
    SliceReader slice(reader_, entry.extent);
    const auto nested = read_bsdlabel(slice, {*flavour, entry.extent.offset, table.next_number});
    if (nested) table.next_number = nested->next_number;
  }
}

void MbrWalk::run() {
  for (std::uint32_t i = 0; i < primary_.size(); ++i) {
    if (!primary_[i].used()) continue;
    add_primary(i + 1, primary_[i]);
    if (primary_[i].extended()) walk_chain(primary_[i]);
  }
  note_overlaps(table);
  table.next_number = next_logical_;
  number_slices();
}

// Whether the table makes sense with sectors of that size: everything lies on the device, and an
// EBR is where each extended partition starts.
bool plausible(TasteReader& reader, const Slots& slots, std::uint32_t sector_bytes) {
  for (const Slot& slot : slots) {
    const std::uint64_t first = std::uint64_t{slot.first_sector} * sector_bytes;
    const std::uint64_t length = std::uint64_t{slot.sectors} * sector_bytes;
    if (!slot.used()) continue;
    if (!within(first, length, reader.size_bytes())) return false;
    if (!slot.extended()) continue;
    const Result<BootSector> ebr = read_boot_sector(reader, first);
    if (!ebr || !ebr->signature) return false;
  }
  return true;
}

// The device's own sector size, or the other usual one where only that makes sense.
std::uint32_t choose_sector_bytes(TasteReader& reader, const Slots& slots) {
  const std::uint32_t hint = reader.block_size_bytes();
  const bool usable = is_power_of_two(hint) && hint >= kSmallestSector && hint <= kLargestSector;
  const std::uint32_t own = usable ? hint : kSmallestSector;
  const std::uint32_t other = own == kSmallestSector ? kLargestSector : kSmallestSector;
  if (!plausible(reader, slots, own) && plausible(reader, slots, other)) return other;
  return own;
}

void add_evidence(PartitionTable& table, std::uint32_t device_sector_bytes) {
  const auto logical =
      std::count_if(table.entries.begin(), table.entries.end(),
                    [](const auto& entry) { return entry.number >= kFirstLogical; });
  table.evidence.push_back("55 aa at byte 510, valid boot flags and a used slot");
  if (logical != 0) {
    table.evidence.push_back(
        fmt::format("the chain of extended boot records holds {} logical partition{}", logical,
                    logical == 1 ? "" : "s"));
  }
  if (table.sector_bytes != device_sector_bytes) {
    add_doubt(table, fmt::format("the table makes sense only in sectors of {} bytes, the device "
                                 "has {}",
                                 table.sector_bytes, device_sector_bytes));
  }
  // An MBR has no checksum: it never outweighs a scheme that has one.
  table.confidence = (logical != 0 ? 60 : 50) - (table.doubts.empty() ? 0 : 20);
}

}  // namespace

Result<PartitionTable> read_mbr(TasteReader& reader) {
  if (reader.size_bytes() < kBootSectorBytes) {
    return make_error(Errc::not_found, "mbr: {}: smaller than a sector", reader.name());
  }
  const Result<BootSector> first = read_boot_sector(reader, 0);
  if (!first) return first.error();
  const std::string reason = refusal(reader, *first);
  if (!reason.empty()) {
    return make_error(Errc::not_found, "mbr: {}: {}", reader.name(), reason);
  }
  MbrWalk walk(reader, *first, choose_sector_bytes(reader, slots_of(*first)));
  walk.run();
  if (walk.table.entries.empty()) {
    return make_error(Errc::corrupt,
                      "mbr: {}: every partition in the table at byte 446 starts past the end of "
                      "the device at byte {}",
                      reader.name(), reader.size_bytes());
  }
  add_evidence(walk.table, reader.block_size_bytes());
  return std::move(walk.table);
}

}  // namespace ashlar
