// Plans a new array: what its superblocks and its bitmap say, and where they go.
//
// Sizes and offsets are those that mdadm 4.2 would choose (validate_geometry1, write_init_super1
// and add_internal_bitmap1 of its super1.c, their fellows of super0.c, and Create.c):
//
//   1.1, 1.2   the data begin at a whole MiB: behind superblock, bitmap, log of bad blocks, and a
//              thousandth of the first device (128 MiB at most) for reshapes to come
//   1.0, 0.90  the data begin at 0; bitmap and log lie before the superblock (1.0), or the bitmap
//              behind it (0.90)
//   members    use as much as the smallest has, in whole chunks; of raid1, in whole 64 KiB
//   bitmap     by default where members use more than 100 GiB; chunks of 64 MiB or more
//
// It differs in this: a raid4 or raid5 whose parity is not known to be right begins with a resync,
// as with mdadm --force. (Else mdadm takes the last device for a spare, and rebuilds it.)
//
// THREAD: any; pure functions over values.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "md/bitmap.h"
#include "md/layout.h"
#include "md/superblock.h"

namespace ashlar::md {

inline constexpr std::uint64_t kDefaultChunkBytes = 512 * kKiB;

struct CreateOptions {
  enum class Bitmap : std::uint8_t { by_size, none, internal };

  Version version = Version::v1_2;
  std::int32_t level = 5;
  std::optional<std::uint32_t> layout;             // the word of the superblock; names.h reads it
  std::optional<std::uint64_t> chunk_bytes;        // linear: to which members are rounded
  std::optional<std::uint64_t> size_bytes;         // to be used of each member
  std::optional<std::uint64_t> data_offset_bytes;  // version 1
  Bitmap bitmap = Bitmap::by_size;
  std::optional<std::uint64_t> bitmap_chunk_bytes;
  // Copies or parity are right already, and nothing is to be resynced.
  bool assume_clean = false;
  std::string name;
  Uuid set_uuid{};
  std::uint64_t created_seconds = 0;
};

// A device of the array, and what identifies it.
struct NewDevice {
  std::uint64_t bytes = 0;
  Uuid uuid{};
};

struct NewArray {
  // By device as it was given; nullopt where one is missing.
  std::vector<std::optional<Superblock>> superblocks;
  Layout layout;
  std::optional<BitmapHeader> bitmap;
  // What the array begins with, in sentences.
  std::vector<std::string> notes;

  // The superblock of some device. What is said of the array is the same in all.
  const Superblock& any() const noexcept;
};

// `devices` by place; nullopt is a member that is missing from the beginning.
//
// Errors: invalid, with a sentence: sizes, levels, layouts and numbers of members that cannot be;
// no_space where a device, by its number from 0 on, is too small.
// ENSURES: serialise_superblock() of each is accepted by parse_superblock(), and all by assemble().
Result<NewArray> plan_array(const CreateOptions& options,
                            const std::vector<std::optional<NewDevice>>& devices);

// What is to be written where the superblock says that the bitmap is, in whole 4 KiB: the header,
// and bits that are all set where a resync is to come, else none. REQUIRES: array.bitmap.
std::vector<std::byte> new_bitmap_bytes(const NewArray& array);

}  // namespace ashlar::md
