// Decodes sector 0; see the header for the layout.
#include "topology/boot_sector.h"

#include <algorithm>

namespace ashlar {
namespace {

constexpr std::size_t kDiskSignatureAt = 440;
constexpr std::size_t kSlotsAt = 446;
constexpr std::size_t kSlotBytes = 16;
constexpr std::size_t kSignatureAt = 510;
constexpr std::uint8_t kActive = 0x80;

BootSectorSlot parse_slot(ByteView slot) {
  return BootSectorSlot{.boot_flag = load_le<std::uint8_t>(slot, 0),
                        .type = load_le<std::uint8_t>(slot, 4),
                        .first_sector = load_le<std::uint32_t>(slot, 8),
                        .sectors = load_le<std::uint32_t>(slot, 12)};
}

}  // namespace

bool BootSector::protective() const noexcept {
  if (!signature) return false;
  return std::any_of(slots.begin(), slots.end(),
                     [](const auto& slot) { return slot.type == kProtectiveType; });
}

bool BootSector::is_partition_table() const noexcept {
  if (!signature || !boot_flags_valid || protective()) return false;
  return std::any_of(slots.begin(), slots.end(),
                     [](const auto& slot) { return slot.sectors != 0; });
}

BootSector parse_boot_sector(ByteView sector) {
  ASHLAR_ASSERT(sector.size() >= kBootSectorBytes);
  sector = sector.first(kBootSectorBytes);
  BootSector result;
  result.blank = std::all_of(sector.begin(), sector.end(),
                             [](std::byte byte) { return byte == std::byte{0}; });
  result.signature = load_be<std::uint16_t>(sector, kSignatureAt) == 0x55aa;
  result.disk_signature = load_le<std::uint32_t>(sector, kDiskSignatureAt);
  for (std::size_t i = 0; i < result.slots.size(); ++i) {
    result.slots[i] = parse_slot(sector.subspan(kSlotsAt + i * kSlotBytes, kSlotBytes));
  }
  result.boot_flags_valid = std::all_of(
      result.slots.begin(), result.slots.end(),
      [](const auto& slot) { return slot.boot_flag == 0 || slot.boot_flag == kActive; });
  return result;
}

}  // namespace ashlar
