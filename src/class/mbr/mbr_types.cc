// The types that are met in practice; everything else shows as its number.
#include "class/mbr/mbr_types.h"

#include <algorithm>
#include <iterator>

namespace ashlar {
namespace {

struct Row {
  std::uint8_t type;
  std::string_view name;
};

constexpr Row kRows[] = {
    {0x01, "FAT12"},
    {0x04, "FAT16 below 32 MiB"},
    {0x05, "extended"},
    {0x06, "FAT16"},
    {0x07, "NTFS or exFAT"},
    {0x0b, "FAT32"},
    {0x0c, "FAT32, LBA"},
    {0x0e, "FAT16, LBA"},
    {0x0f, "extended, LBA"},
    {0x11, "hidden FAT12"},
    {0x12, "diagnostics"},
    {0x27, "Windows recovery"},
    {0x39, "Plan 9"},
    {0x42, "Windows LDM"},
    {0x63, "Unix System V"},
    {0x81, "Minix"},
    {0x82, "Linux swap"},
    {0x83, "Linux"},
    {0x85, "Linux extended"},
    {0x8e, "Linux LVM"},
    {0xa5, "FreeBSD"},
    {0xa6, "OpenBSD"},
    {0xa8, "Darwin UFS"},
    {0xa9, "NetBSD"},
    {0xab, "Darwin boot"},
    {0xaf, "HFS"},
    {0xbe, "Solaris boot"},
    {0xbf, "Solaris"},
    {0xda, "data without a file system"},
    {0xea, "Linux, extended boot"},
    {0xeb, "BeOS"},
    {0xef, "EFI system"},
    {0xfb, "VMware VMFS"},
    {0xfd, "Linux RAID"},
};

}  // namespace

std::string_view mbr_type_name(std::uint8_t type) noexcept {
  const auto* row = std::find_if(std::begin(kRows), std::end(kRows),
                                 [&](const Row& candidate) { return candidate.type == type; });
  return row == std::end(kRows) ? std::string_view() : row->name;
}

bool is_extended_mbr_type(std::uint8_t type) noexcept {
  return type == 0x05 || type == 0x0f || type == 0x85;
}

}  // namespace ashlar
