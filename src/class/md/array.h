// An assembled array, as the steps of all levels see it: where its members are, and which are in
// use.
//
// OWNERSHIP: the body's. THREAD: what is const is any context's; the rest as its header says.
#pragma once

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "class/md/members.h"
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
  std::uint32_t block_bytes = 512;          // the largest of the members'
  std::vector<MdPlace> places;              // by role
  Members members;                          // of a redundant level
  // Keeps what the superblocks say; null: nothing is recorded, and nothing may be written.
  std::unique_ptr<md::Keeper> keeper;
  bool fua = true;  // every member has it

  const md::Layout& layout() const noexcept { return *assembly.layout; }
  // Of a byte of a member's data.
  std::uint64_t on_device(std::uint32_t role, std::uint64_t offset) const noexcept {
    return places[role].data_offset_bytes + offset;
  }
};

// The steps of the levels. Each takes the array over; linear is a map and has none.
std::unique_ptr<GeomBody> make_md_raid0(std::unique_ptr<MdArray> array);
std::unique_ptr<GeomBody> make_md_copies(std::unique_ptr<MdArray> array);  // raid1, raid10
// raid4, 5, 6. Errors: no_memory.
Result<std::unique_ptr<GeomBody>> make_md_parity(std::unique_ptr<MdArray> array);

// For status(): {"level", "raid5, 3 of 4 members"}, {"member 2", "dropped: ..."}.
std::vector<std::pair<std::string, std::string>> md_status(const MdArray& array);

}  // namespace ashlar
