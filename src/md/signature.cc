// One function for each that says its size, a table for the others.
#include "md/signature.h"

#include <algorithm>

namespace ashlar::md {
namespace {

bool has(ByteView start, std::size_t at, std::string_view magic) {
  return within(at, magic.size(), start.size()) &&
         std::equal(magic.begin(), magic.end(), start.begin() + static_cast<std::ptrdiff_t>(at),
                    [](char a, std::byte b) { return static_cast<std::byte>(a) == b; });
}

// Count and unit of something, where the product is a possible size.
std::optional<std::uint64_t> size_of(std::uint64_t count, std::uint64_t unit) {
  if (unit == 0 || count == 0 || count > (std::uint64_t{1} << 62) / unit) return std::nullopt;
  return count * unit;
}

// linux/fs/ext4/ext4.h: struct ext4_super_block.
std::optional<Signature> ext(ByteView start) {
  constexpr std::size_t kAt = 1024;
  constexpr std::uint16_t kMagic = 0xef53;
  if (!within(kAt, 1024, start.size()) || load_le<std::uint16_t>(start, kAt + 56) != kMagic) {
    return std::nullopt;
  }
  const auto shift = load_le<std::uint32_t>(start, kAt + 24);
  const auto blocks = load_le<std::uint32_t>(start, kAt + 4);
  const auto state = load_le<std::uint16_t>(start, kAt + 58);
  if (shift > 6 || state > 7) return std::nullopt;
  return Signature{"an ext file system", size_of(blocks, std::uint64_t{1024} << shift)};
}

std::optional<Signature> xfs(ByteView start) {
  if (!has(start, 0, "XFSB") || start.size() < 512) return std::nullopt;
  return Signature{"an XFS file system",
                   size_of(load_be<std::uint64_t>(start, 8), load_be<std::uint32_t>(start, 4))};
}

std::optional<Signature> btrfs(ByteView start) {
  constexpr std::size_t kAt = 64 * kKiB;
  if (!has(start, kAt + 64, "_BHRfS_M") || !within(kAt, 256, start.size())) return std::nullopt;
  return Signature{"a btrfs file system", size_of(load_le<std::uint64_t>(start, kAt + 112), 1)};
}

struct Magic {
  std::size_t at;
  std::string_view bytes;
  const char* what;
};

constexpr Magic kMagics[] = {
    {0, "LUKS\xba\xbe", "a LUKS volume"},
    {512, "LABELONE", "an LVM physical volume"},
    {0, "LABELONE", "an LVM physical volume"},
    {4086, "SWAPSPACE2", "swap space"},
    {3, "NTFS    ", "an NTFS file system"},
    {3, "EXFAT   ", "an exFAT file system"},
    {54, "FAT1", "a FAT file system"},
    {82, "FAT32", "a FAT file system"},
    {32769, "CD001", "an ISO 9660 file system"},
    {0, "hsqs", "a squashfs file system"},
    {1024, "\x10\x20\xf5\xf2", "an F2FS file system"},
    {64 * kKiB + 52, "ReIsEr", "a ReiserFS file system"},
    {512, "EFI PART", "a GPT"},
    {4096, "EFI PART", "a GPT"},
    {0, "QFI\xfb", "a qcow2 image"},
};

// A boot signature with at least one entry, all of them possible.
bool is_mbr(ByteView start) {
  if (start.size() < 512 || load_le<std::uint16_t>(start, 510) != 0xaa55) return false;
  int used = 0;
  for (std::size_t at = 446; at < 510; at += 16) {
    const auto status = load_le<std::uint8_t>(start, at);
    const auto type = load_le<std::uint8_t>(start, at + 4);
    if (status != 0 && status != 0x80) return false;
    if (type == 0) continue;
    if (load_le<std::uint32_t>(start, at + 8) == 0 || load_le<std::uint32_t>(start, at + 12) == 0) {
      return false;
    }
    ++used;
  }
  return used != 0;
}

}  // namespace

std::optional<Signature> signature_of(ByteView start) {
  for (const auto look : {ext, xfs, btrfs}) {
    if (auto found = look(start)) return found;
  }
  for (const Magic& each : kMagics) {
    if (has(start, each.at, each.bytes)) return Signature{each.what, std::nullopt};
  }
  if (is_mbr(start)) return Signature{"an MBR partition table", std::nullopt};
  return std::nullopt;
}

}  // namespace ashlar::md
