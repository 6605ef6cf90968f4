// Offsets and sizes of a new member.
#include "md/join.h"

#include <algorithm>

#include "base/bytes.h"

namespace ashlar::md {

Result<Superblock> superblock_like(const Superblock& like, std::uint64_t device_bytes,
                                   const Uuid& device_uuid) {
  const auto too_small = [&](std::uint64_t data_bytes) {
    return make_error(Errc::no_space,
                      "md: a device of {} bytes has {} for data, of which the array uses {}",
                      device_bytes, data_bytes, like.component_bytes);
  };
  const auto place = superblock_offset(like.version, device_bytes);
  if (!place || like.data_offset_bytes >= device_bytes) return too_small(0);
  Superblock made = like;
  made.superblock_offset_bytes = *place;
  made.device_uuid.reset();
  if (made.is_version_1()) made.device_uuid = device_uuid;
  made.bad_blocks.in_use = false;
  made.write_mostly = made.failfast = made.replacement = false;
  made.recovery_offset_bytes = kAll;
  made.recovery_by_bitmap = false;
  made.corrected_reads = 0;
  made.raw.clear();
  // Data before the superblock end where it begins, or what lies before it.
  std::uint64_t end = device_bytes;
  if (*place > made.data_offset_bytes) {
    end = *place;
    if (made.is_version_1() && made.has_bitmap && made.bitmap_offset_bytes < 0) {
      end = std::min(end, made.bitmap_start_bytes());
    }
    if (made.bad_blocks.bytes != 0 && made.bad_blocks.offset_bytes < 0) {
      end = std::min(end, made.bad_blocks_start_bytes());
    }
  }
  const std::uint64_t room = end - std::min(end, made.data_offset_bytes);
  made.data_bytes = align_down(room, std::uint64_t{512});
  if (made.data_bytes < like.component_bytes) return too_small(made.data_bytes);
  return made;
}

}  // namespace ashlar::md
