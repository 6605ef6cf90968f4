// The bitmap and the logs of bad blocks, from the members.
#include "class/md/metadata.h"

#include <ctime>

#include "class/md/member.h"
#include "md/bitmap.h"

namespace ashlar {
namespace {

std::uint64_t now_seconds() { return static_cast<std::uint64_t>(std::time(nullptr)); }

Result<std::optional<md::BitmapCopy>> read_bitmap(const md::Superblock& superblock,
                                                  ConsumerView& view) {
  if (!superblock.has_bitmap) return std::optional<md::BitmapCopy>();
  std::vector<std::byte> block(md::kBitmapHeaderBytes);
  const std::uint64_t start = superblock.bitmap_start_bytes();
  if (auto read = view.reader->read(start, block); !read) return read.error();
  auto header = md::parse_bitmap(block, md::bitmap_room_bytes(superblock, view.size_bytes));
  if (!header) return header.error();
  md::BitmapCopy copy{std::move(*header), {}};
  copy.bits.resize((copy.header.bits() + 7) / 8);
  if (auto read = view.reader->read(start + md::kBitmapHeaderBytes, copy.bits); !read) {
    return read.error();
  }
  return std::optional(std::move(copy));
}

}  // namespace

Result<void> add_md_keeper(MdArray& array, std::span<ConsumerView> consumers) {
  std::vector<md::KeeperDevice> devices;
  array.fua = true;
  for (std::size_t i = 0; i < consumers.size(); ++i) {
    auto bad = read_md_bad_blocks(*consumers[i].reader, array.superblocks[i]);
    if (!bad) return bad.error();
    array.fua = array.fua && consumers[i].limits.ops.fua();
    devices.push_back({array.superblocks[i], consumers[i].size_bytes,
                       consumers[i].limits.block_bytes, std::move(*bad)});
  }
  const std::size_t freshest = array.assembly.freshest;
  auto bitmap = read_bitmap(array.superblocks[freshest], consumers[freshest]);
  if (!bitmap) return bitmap.error();
  auto keeper =
      md::Keeper::make(array.assembly, std::move(devices), std::move(*bitmap), &now_seconds);
  if (!keeper) return keeper.error();
  array.keeper = std::move(*keeper);
  return {};
}

}  // namespace ashlar
