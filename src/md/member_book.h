// Who is in a running array and in which state, and the superblocks that say so. For keeper.h,
// which decides when they are written.
//
//   spare --start_recovery--> recovering --recovered--> recovered --(a record)--> active
//     |                           |                         |                       |
//     '---------------------------'------- fail ------------'-----------------------'--> failed
//
// THREAD: none; the keeper's lock guards it.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "base/extent.h"
#include "md/assembly.h"

namespace ashlar::md {

// A device as the keeper is given it: an element for each candidate of the assembly, in the same
// order; Put::device counts them likewise. Those that were left out are not touched.
struct KeeperDevice {
  Superblock superblock;
  std::uint64_t device_bytes = 0;
  std::uint32_t block_bytes = 512;  // puts are whole blocks
  std::vector<Extent> bad_blocks;   // of the device, as parse_bad_blocks gives them
};

class MemberBook {
 public:
  enum class State : std::uint8_t {
    unused,      // left out
    spare,       // without a place
    recovering,  // in its place, and not in sync; a replacement stays so, and has nothing
    recovered,   // in sync, and no superblock says so yet
    active,
    failed,
  };

  // What superblocks say of the array.
  struct Array {
    std::uint64_t events = 0;
    std::uint64_t updated_seconds = 0;
    std::uint64_t resync_offset_bytes = kAll;
  };

  // Errors: unsupported, where a device's blocks are so large that its metadata share some.
  static Result<MemberBook> make(const Assembly& assembly, std::vector<KeeperDevice> devices,
                                 std::uint64_t bitmap_bytes);

  std::uint32_t count() const noexcept { return static_cast<std::uint32_t>(devices_.size()); }
  State state(std::uint32_t device) const { return devices_[device].state; }
  bool live(std::uint32_t device) const noexcept;
  const KeeperDevice& given(std::uint32_t device) const { return devices_[device].given; }
  // The member at a place, that lives; replacements are none.
  std::optional<std::uint32_t> at(std::uint32_t role) const noexcept;
  // By place; a member that has recovered is in sync, recorded or not.
  std::vector<bool> in_sync() const;
  // Places whose member is not known to be in sync by the superblocks.
  std::uint32_t degraded() const noexcept;
  bool has_bitmap_copy(std::uint32_t device) const noexcept;
  std::uint64_t recovery_offset(std::uint32_t device) const {
    return devices_[device].recovery_offset;
  }
  bool recovery_by_bitmap(std::uint32_t device) const { return devices_[device].by_bitmap; }

  void fail(std::uint32_t device) noexcept;
  // Failures that no record has taken up.
  bool unrecorded_failures() const noexcept;
  // A member was one event behind, and still is.
  bool behind(std::uint32_t device) const { return devices_[device].behind; }

  // See Keeper::add_device.
  Result<void> fits(const KeeperDevice& device, std::uint64_t bitmap_bytes) const;
  Result<std::uint32_t> add(KeeperDevice device, std::uint64_t bitmap_bytes,
                            std::optional<std::uint32_t> again = {});
  void start_recovery(std::uint32_t device, std::uint32_t role, bool by_bitmap) noexcept;
  void set_recovery(std::uint32_t device, std::uint64_t offset) noexcept;
  void recovered(std::uint32_t device) noexcept;

  // A record begins: roles are as they will be in it.
  void publish();
  // It has ended; what it took up is on the members that live.
  void published() noexcept;
  // The device's superblock, in whole blocks, as of publish().
  std::vector<std::byte> superblock(std::uint32_t device, const Array& array) const;
  // The same with the roles as they were read.
  std::vector<std::byte> level_superblock(std::uint32_t device) const;

 private:
  struct Device {
    KeeperDevice given;
    State state = State::unused;
    std::uint32_t role = kRoleSpare;
    bool replacement = false;
    std::uint64_t recovery_offset = kAll;
    bool by_bitmap = false;
    bool behind = false;
    bool taken_up = true;  // its state is in the record under way, or in an earlier one
  };

  MemberBook() = default;
  bool version_1() const noexcept { return freshest_.is_version_1(); }
  void place(const Member& member, std::uint32_t role, bool replacement);
  std::uint16_t published_role(const Device& device) const noexcept;
  std::optional<std::uint32_t> free_number() const noexcept;
  Result<void> check(const KeeperDevice& device, std::size_t roles,
                     std::uint64_t bitmap_bytes) const;
  std::vector<std::byte> bytes_of(const Device& device, Superblock superblock) const;

  Superblock freshest_;  // as it was read
  std::vector<Device> devices_;
  std::vector<std::uint16_t> roles_;  // by number, as of publish()
  std::vector<bool> used_numbers_;    // by somebody who may come back
};

}  // namespace ashlar::md
