// Unpacks an archive, and looks for superblocks as a taster would.
#include "test/md_arrays.h"

#include <filesystem>

#include "test/paths.h"

namespace ashlar::test {
namespace {

std::optional<md::Superblock> superblock_of(ByteView device) {
  std::vector<md::Superblock> found;
  for (const md::Version version : md::kVersions) {
    const auto at = md::superblock_offset(version, device.size());
    if (!at) continue;
    auto parsed = md::parse_superblock(device.subspan(*at), version, device.size());
    if (parsed) found.push_back(*parsed);
  }
  if (found.empty()) return std::nullopt;
  return found[md::newest_superblock(found)];
}

}  // namespace

bool unpack_md_array(const std::string& name, const CommandFolder& folder) {
  const auto packed = source_folder() / "test" / "md_images" / (name + ".tar.xz");
  return folder.sh("tar -xJf '" + packed.string() + "'").status == 0;
}

std::vector<MdMember> md_array(const std::string& name) {
  const CommandFolder folder;
  std::vector<MdMember> members;
  if (!unpack_md_array(name, folder)) return members;
  for (int i = 0; i < 16; ++i) {
    const std::string file = fmt::format("m{}.img", i);
    if (!std::filesystem::exists(folder.path() / file)) continue;
    const std::string bytes = folder.read(file);
    const ByteView view = as_bytes(bytes);
    auto superblock = superblock_of(view);
    if (superblock) members.push_back({{view.begin(), view.end()}, *superblock});
  }
  return members;
}

std::vector<std::optional<MdMember>> md_array_by_role(const std::string& name) {
  std::vector<std::optional<MdMember>> by_role;
  for (MdMember& each : md_array(name)) {
    const std::uint16_t role = each.superblock.role();
    by_role.resize(each.superblock.raid_disks);
    if (role < by_role.size()) by_role[role] = std::move(each);
  }
  return by_role;
}

}  // namespace ashlar::test
