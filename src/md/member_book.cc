// Numbers, roles and superblocks of a running array's devices.
#include "md/member_book.h"

#include <algorithm>

namespace ashlar::md {
namespace {

constexpr std::uint64_t kFixedBytes = 256;  // of a version-1 superblock, before the roles

std::uint64_t superblock_bytes(const KeeperDevice& device, std::size_t roles) {
  if (!device.superblock.is_version_1()) return kSuperblockBytes;
  return align_up(kFixedBytes + 2 * roles, device.block_bytes);
}

}  // namespace

Result<MemberBook> MemberBook::make(const Assembly& assembly, std::vector<KeeperDevice> devices,
                                    std::uint64_t bitmap_bytes) {
  MemberBook book;
  book.freshest_ = devices.at(assembly.freshest).superblock;
  book.roles_ = book.freshest_.roles;
  for (KeeperDevice& each : devices) {
    Device device;
    device.given = std::move(each);
    book.devices_.push_back(std::move(device));
  }
  for (std::uint32_t role = 0; role < assembly.members.size(); ++role) {
    if (assembly.members[role]) book.place(*assembly.members[role], role, false);
    if (assembly.replacements[role]) book.place(*assembly.replacements[role], role, true);
  }
  for (const std::size_t each : assembly.spares) book.devices_[each].state = State::spare;
  book.used_numbers_.resize(book.roles_.size());
  for (std::size_t i = 0; i < book.roles_.size(); ++i) {
    book.used_numbers_[i] = book.roles_[i] <= kRoleMax;
  }
  for (std::uint32_t i = 0; i < book.count(); ++i) {
    if (!book.live(i)) continue;
    auto checked = book.check(book.given(i), book.roles_.size(), bitmap_bytes);
    if (!checked) return checked.error();
    const std::uint32_t number = book.given(i).superblock.device_number;
    if (number >= book.used_numbers_.size()) book.used_numbers_.resize(number + 1);
    book.used_numbers_[number] = true;
  }
  return book;
}

void MemberBook::place(const Member& member, std::uint32_t role, bool replacement) {
  Device& device = devices_[member.candidate];
  device.role = role;
  device.replacement = replacement;
  // Nobody writes to a replacement here: from now on it has nothing.
  device.recovery_offset = replacement ? 0 : member.recovery_offset_bytes;
  device.by_bitmap = member.recovery_by_bitmap && !replacement;
  device.behind = member.behind;
  device.state = member.in_sync() && !replacement ? State::active : State::recovering;
}

// Puts in whole blocks must not reach into what lies beside them.
Result<void> MemberBook::check(const KeeperDevice& device, std::size_t roles,
                               std::uint64_t bitmap_bytes) const {
  const Superblock& sb = device.superblock;
  const std::uint64_t start = sb.superblock_offset_bytes;
  const std::uint64_t end = start + superblock_bytes(device, roles);
  const auto in_the_way = [&](std::uint64_t place) { return place >= start && place < end; };
  bool shared = end > device.device_bytes;
  shared = shared || (sb.version != Version::v0_90 && sb.version != Version::v1_0 &&
                      in_the_way(sb.data_offset_bytes));
  shared = shared || (sb.has_bitmap && in_the_way(sb.bitmap_start_bytes()));
  shared = shared || (sb.bad_blocks.bytes != 0 && in_the_way(sb.bad_blocks_start_bytes()));
  if (bitmap_bytes != 0 && sb.has_bitmap) {
    shared =
        shared || sb.bitmap_start_bytes() % device.block_bytes != 0 ||
        align_up(bitmap_bytes, device.block_bytes) > bitmap_room_bytes(sb, device.device_bytes);
  }
  if (!shared) return {};
  return make_error(Errc::unsupported,
                    "md: superblock, bitmap and data share blocks of {} bytes on a device of {}",
                    device.block_bytes, device.device_bytes);
}

bool MemberBook::live(std::uint32_t device) const noexcept {
  const State state = devices_[device].state;
  return state != State::unused && state != State::failed;
}

std::optional<std::uint32_t> MemberBook::at(std::uint32_t role) const noexcept {
  for (std::uint32_t i = 0; i < count(); ++i) {
    const Device& each = devices_[i];
    if (live(i) && each.state != State::spare && each.role == role && !each.replacement) return i;
  }
  return std::nullopt;
}

std::vector<bool> MemberBook::in_sync() const {
  std::vector<bool> places(freshest_.raid_disks);
  for (const Device& each : devices_) {
    if (each.state == State::active || each.state == State::recovered) places[each.role] = true;
  }
  return places;
}

std::uint32_t MemberBook::degraded() const noexcept {
  std::uint32_t active = 0;
  for (const Device& each : devices_) active += each.state == State::active ? 1 : 0;
  return freshest_.raid_disks - active;
}

bool MemberBook::has_bitmap_copy(std::uint32_t device) const noexcept {
  return live(device) && devices_[device].state != State::spare &&
         devices_[device].given.superblock.has_bitmap;
}

void MemberBook::fail(std::uint32_t device) noexcept {
  devices_[device].state = State::failed;
  devices_[device].taken_up = false;
}

bool MemberBook::unrecorded_failures() const noexcept {
  return std::any_of(devices_.begin(), devices_.end(), [](const Device& each) {
    return each.state == State::failed && !each.taken_up;
  });
}

// A number that nobody had who may come back: its old superblock would lead to this place.
std::optional<std::uint32_t> MemberBook::free_number() const noexcept {
  const std::uint32_t first = version_1() ? 0 : freshest_.raid_disks;
  const std::uint32_t end = version_1() ? kMaxDevices : kMaxDevices90;
  for (std::uint32_t i = first; i < end; ++i) {
    if (i >= used_numbers_.size() || !used_numbers_[i]) return i;
  }
  return std::nullopt;
}

Result<void> MemberBook::fits(const KeeperDevice& device, std::uint64_t bitmap_bytes) const {
  const Superblock& sb = device.superblock;
  if (sb.version != freshest_.version || sb.has_bitmap != freshest_.has_bitmap) {
    return make_error(Errc::invalid, "md: the new device is laid out for another array");
  }
  if (freshest_.level > 0 && sb.data_bytes < freshest_.component_bytes) {
    return make_error(Errc::invalid, "md: the new device has {} bytes for data; {} are used",
                      sb.data_bytes, freshest_.component_bytes);
  }
  const auto number = free_number();
  const std::size_t roles = std::max<std::size_t>(roles_.size(), number.value_or(0) + 1);
  if (!number) return make_error(Errc::no_space, "md: every number of a device is taken");
  return check(device, roles, bitmap_bytes);
}

Result<std::uint32_t> MemberBook::add(KeeperDevice device, std::uint64_t bitmap_bytes,
                                      std::optional<std::uint32_t> again) {
  if (auto fit = fits(device, bitmap_bytes); !fit) return fit.error();
  const auto number = free_number();
  const Superblock& sb = device.superblock;
  Superblock made = freshest_;
  made.superblock_offset_bytes = sb.superblock_offset_bytes;
  made.data_offset_bytes = sb.data_offset_bytes;
  made.data_bytes = sb.data_bytes;
  made.device_uuid = sb.device_uuid;
  made.bad_blocks = sb.bad_blocks;
  made.bitmap_offset_bytes = sb.bitmap_offset_bytes;
  made.write_mostly = sb.write_mostly;
  made.failfast = sb.failfast;
  made.replacement = false;
  made.recovery_offset_bytes = kAll;
  made.recovery_by_bitmap = false;
  made.corrected_reads = 0;
  made.raw.clear();
  made.device_number = *number;
  Device added;
  added.given = std::move(device);
  added.given.superblock = std::move(made);
  added.state = State::spare;
  used_numbers_.resize(std::max<std::size_t>(used_numbers_.size(), *number + 1));
  used_numbers_[*number] = true;
  devices_.push_back(std::move(added));
  if (!again || *again + 1 == count()) return count() - 1;
  // Who had the number is kept: the next record has yet to say that it has failed.
  ASHLAR_ASSERT(*again < count() && !live(*again));
  std::swap(devices_[*again], devices_.back());
  return *again;
}

void MemberBook::start_recovery(std::uint32_t device, std::uint32_t role, bool by_bitmap) noexcept {
  Device& each = devices_[device];
  ASHLAR_ASSERT(each.state == State::spare && !at(role) && role < freshest_.raid_disks);
  each.state = State::recovering;
  each.role = role;
  each.recovery_offset = 0;
  each.by_bitmap = by_bitmap;
}

void MemberBook::set_recovery(std::uint32_t device, std::uint64_t offset) noexcept {
  Device& each = devices_[device];
  ASHLAR_ASSERT(each.state == State::recovering);
  each.recovery_offset = std::max(each.recovery_offset, offset);
}

void MemberBook::recovered(std::uint32_t device) noexcept {
  Device& each = devices_[device];
  ASHLAR_ASSERT(each.state == State::recovering && !each.replacement);
  each.state = State::recovered;
  each.recovery_offset = kAll;
  each.by_bitmap = false;
  each.taken_up = false;
}

// 0.90 cannot say how far a recovery has come: such a member is a spare there.
std::uint16_t MemberBook::published_role(const Device& device) const noexcept {
  if (device.state == State::spare) return kRoleSpare;
  if (!version_1() && device.state == State::recovering) return kRoleSpare;
  return static_cast<std::uint16_t>(device.role);
}

void MemberBook::publish() {
  // Whoever had a place and is not here has failed, as far as the others are concerned.
  for (std::uint16_t& role : roles_) {
    if (role <= kRoleMax) role = kRoleFaulty;
  }
  const auto set = [&](std::uint32_t number, std::uint16_t role) {
    if (number >= roles_.size()) roles_.resize(number + 1, kRoleFaulty);
    roles_[number] = role;
  };
  for (Device& each : devices_) {
    each.taken_up = true;
    if (each.state == State::failed) set(each.given.superblock.device_number, kRoleFaulty);
  }
  for (std::uint32_t i = 0; i < count(); ++i) {
    if (!live(i)) continue;
    std::uint32_t& number = devices_[i].given.superblock.device_number;
    // In 0.90 a member's number is its place.
    if (!version_1() && devices_[i].state == State::recovered && number != devices_[i].role) {
      set(number, kRoleFaulty);
      number = devices_[i].role;
    }
    set(number, published_role(devices_[i]));
  }
}

void MemberBook::published() noexcept {
  for (Device& each : devices_) {
    each.behind = false;
    if (each.state == State::recovered && each.taken_up) each.state = State::active;
  }
}

std::vector<std::byte> MemberBook::bytes_of(const Device& device, Superblock superblock) const {
  const bool filling = device.state == State::recovering && superblock.is_version_1();
  superblock.recovery_offset_bytes = filling ? device.recovery_offset : kAll;
  superblock.recovery_by_bitmap = filling && device.by_bitmap;
  std::vector<std::byte> bytes = serialise_superblock(superblock);
  bytes.resize(superblock_bytes(device.given, superblock.roles.size()));
  return bytes;
}

std::vector<std::byte> MemberBook::superblock(std::uint32_t device, const Array& array) const {
  Superblock superblock = devices_[device].given.superblock;
  superblock.events = array.events;
  superblock.updated_seconds = array.updated_seconds;
  superblock.resync_offset_bytes = array.resync_offset_bytes;
  superblock.roles = roles_;
  return bytes_of(devices_[device], std::move(superblock));
}

std::vector<std::byte> MemberBook::level_superblock(std::uint32_t device) const {
  Superblock superblock = devices_[device].given.superblock;
  superblock.events = freshest_.events;
  superblock.updated_seconds = freshest_.updated_seconds;
  superblock.resync_offset_bytes = freshest_.resync_offset_bytes;
  superblock.roles = freshest_.roles;
  return bytes_of(devices_[device], std::move(superblock));
}

}  // namespace ashlar::md
