// An assembled array, as the steps of all levels see it: where its members are, and which are in
// use.
//
// OWNERSHIP: the body's. THREAD: what is const is any context's; the rest as its header says.
#pragma once

#include <memory>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "class/md/members.h"
#include "class/md/planted.h"
#include "md/assembly.h"
#include "md/keeper.h"
#include "topology/class.h"

namespace ashlar {

// A place of the array.
struct MdPlace {
  static constexpr std::uint32_t kNobody = ~std::uint32_t{0};

  std::uint32_t consumer = kNobody;     // the geom's
  std::uint64_t data_offset_bytes = 0;  // where the array's data begin on that consumer's device
  std::vector<Extent> bad_blocks;       // of its data, counted from data_offset_bytes; sorted

  bool there() const noexcept { return consumer != kNobody; }
};

struct MdArray {
  explicit MdArray(std::uint32_t count) : places(count), members(count) {}

  md::Assembly assembly;                    // candidates are numbered as the consumers are
  std::vector<md::Superblock> superblocks;  // by consumer
  std::vector<std::string> names;           // the devices', by consumer
  std::uint32_t block_bytes = 512;          // the largest of the members'
  std::vector<MdPlace> places;              // by role
  Members members;                          // of a redundant level
  // Keeps what the superblocks say; null: nothing is recorded, and nothing may be written.
  std::unique_ptr<md::Keeper> keeper;
  bool fua = true;  // every member has it
  MdPlanted planted = MdPlanted::none;

  const md::Layout& layout() const noexcept { return *assembly.layout; }
  const md::Superblock& superblock() const noexcept { return superblocks[assembly.freshest]; }
  // In whole blocks.
  std::uint64_t size_bytes() const noexcept {
    return align_down(layout().array_bytes(), block_bytes);
  }
  // Of a byte of a member's data.
  std::uint64_t on_device(std::uint32_t role, std::uint64_t offset) const noexcept {
    return places[role].data_offset_bytes + offset;
  }
  // The place of a consumer; MdPlace::kNobody for one that is not in use. Of levels whose places
  // keep their members; RedundantArray has its own.
  std::uint32_t role_of(std::uint32_t consumer) const noexcept;
};

// The steps of the levels. Each takes the array over; linear is a map and has none.
std::unique_ptr<GeomBody> make_md_linear(std::unique_ptr<MdArray> array);
std::unique_ptr<GeomBody> make_md_raid0(std::unique_ptr<MdArray> array);
std::unique_ptr<GeomBody> make_md_copies(std::unique_ptr<MdArray> array);  // raid1, raid10
// raid4, 5, 6. Errors: no_memory.
Result<std::unique_ptr<GeomBody>> make_md_parity(std::unique_ptr<MdArray> array);

// For status(): {"level", "raid5, 3 of 4 members"}, {"place 2", "dropped: ..."}.
std::vector<std::pair<std::string, std::string>> md_status(const MdArray& array);

// GeomBody::locate: every copy of a byte that may be read; of parity, none.
std::vector<ConsumerByte> md_locate(const MdArray& array, std::uint64_t offset);

// The array's bytes before the first one that the member `role` has lost where it has no more than
// `data_bytes` of data.
std::uint64_t md_bytes_within(const MdArray& array, std::uint32_t role, std::uint64_t data_bytes);

// Of levels that can do without no member, for GeomBody::on_resize.
std::uint64_t md_resized(const MdArray& array, std::span<const std::uint64_t> consumer_sizes);

}  // namespace ashlar
