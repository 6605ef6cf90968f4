// Looks for superblocks of all versions.
#include "class/md/member.h"

#include <algorithm>

#include "md/bad_blocks.h"
#include "topology/boot_sector.h"

namespace ashlar {
namespace {

// A checksum over the whole of it, in a place that it names itself.
constexpr int kConfidence = 100;

// A superblock 0.90 does not say where it lies: at the end of a disk's last partition it is found
// on the disk too. It is the partition's then.
Result<bool> is_in_partition(TasteReader& reader, const md::Superblock& superblock) {
  if (superblock.version != md::Version::v0_90) return false;
  std::array<std::byte, kBootSectorBytes> sector;
  if (auto read = reader.read(0, sector); !read) return read.error();
  const BootSector boot = parse_boot_sector(sector);
  if (!boot.is_partition_table() && !boot.protective()) return false;
  const std::uint64_t unit = reader.block_size_bytes();
  return std::any_of(boot.slots.begin(), boot.slots.end(), [&](const BootSectorSlot& slot) {
    const Extent extent{slot.first_sector * unit, slot.sectors * unit};
    return extent.offset <= superblock.superblock_offset_bytes &&
           superblock.superblock_offset_bytes < extent.end();
  });
}

// "md: the superblock ..." becomes "md: disk0: the superblock ...".
Error of_device(const TasteReader& reader, const Error& problem) {
  std::string_view sentence = problem.message;
  if (sentence.starts_with("md: ")) sentence.remove_prefix(4);
  return make_error(problem.code, "md: {}: {}", reader.name(), sentence);
}

std::string place_text(const md::Superblock& superblock) {
  if (!superblock.unsupported.empty()) return superblock.unsupported;
  switch (superblock.role()) {
    case md::kRoleSpare:
      return "a spare";
    case md::kRoleFaulty:
      return "failed";
    case md::kRoleJournal:
      return "a journal";
    default:
      return fmt::format("{} {}", superblock.replacement ? "a replacement for place" : "place",
                         superblock.role());
  }
}

}  // namespace

std::string md_title(const md::Superblock& superblock) {
  return superblock.name.empty() ? md::uuid_text(superblock) : fmt::format("'{}'", superblock.name);
}

Result<std::optional<md::Superblock>> find_md_superblock(TasteReader& reader) {
  std::vector<md::Superblock> found;
  std::optional<Error> damaged;
  std::vector<std::byte> block(md::kSuperblockBytes);
  const std::uint64_t size = reader.size_bytes();
  for (const md::Version version : md::kVersions) {
    const auto at = md::superblock_offset(version, size);
    if (!at || !within(*at, block.size(), size)) continue;
    if (auto read = reader.read(*at, block); !read) return read.error();
    auto parsed = md::parse_superblock(block, version, size);
    if (parsed) {
      found.push_back(std::move(*parsed));
    } else if (parsed.error().code != Errc::not_found && !damaged) {
      damaged = of_device(reader, parsed.error());
    }
  }
  if (found.empty() && damaged) return *damaged;
  if (found.empty()) return std::optional<md::Superblock>();
  md::Superblock& newest = found[md::newest_superblock(found)];
  auto nested = is_in_partition(reader, newest);
  if (!nested) return nested.error();
  if (*nested) return std::optional<md::Superblock>();
  return std::optional(std::move(newest));
}

Result<std::vector<Extent>> read_md_bad_blocks(TasteReader& reader,
                                               const md::Superblock& superblock) {
  if (!superblock.bad_blocks.in_use) return std::vector<Extent>();
  std::vector<std::byte> log(superblock.bad_blocks.bytes);
  if (auto read = reader.read(superblock.bad_blocks_start_bytes(), log); !read) {
    return read.error();
  }
  auto ranges = md::parse_bad_blocks(log, superblock.bad_blocks, reader.size_bytes());
  if (!ranges) return of_device(reader, ranges.error());
  return ranges;
}

std::vector<Extent> md_bad_data(const std::vector<Extent>& bad_blocks,
                                const md::Superblock& superblock) {
  std::vector<Extent> of_data;
  const std::uint64_t start = superblock.data_offset_bytes;
  for (const Extent& each : bad_blocks) {
    if (each.end() <= start) continue;
    const std::uint64_t first = std::max(each.offset, start);
    of_data.push_back({first - start, each.end() - first});
  }
  return of_data;
}

Result<std::optional<Membership>> md_membership(TasteReader& reader) {
  auto found = find_md_superblock(reader);
  if (!found) return found.error();
  if (!found->has_value()) return std::optional<Membership>();
  const md::Superblock& superblock = **found;
  Membership membership;
  membership.group =
      fmt::format("{} {}", md::uuid_text(superblock), md::to_string(superblock.version));
  membership.detail = fmt::format("{} {}, {}", md::level_name(superblock.level),
                                  md_title(superblock), place_text(superblock));
  membership.confidence = kConfidence;
  return std::optional(std::move(membership));
}

}  // namespace ashlar
