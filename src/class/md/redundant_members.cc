// Redundant arrays: members that come and go while requests run.
#include <algorithm>
#include <random>

#include "class/md/member.h"
#include "class/md/redundant.h"
#include "md/join.h"

namespace ashlar {
namespace {

md::Uuid random_uuid() {
  md::Uuid uuid;
  std::random_device random;
  for (std::byte& each : uuid) each = static_cast<std::byte>(random());
  return uuid;
}

bool same_array(const md::Superblock& one, const md::Superblock& other) {
  return one.version == other.version && one.set_uuid == other.set_uuid;
}

// What is on a device that joins; a damaged superblock is none where it may go.
Result<std::optional<md::Superblock>> found_on(const ConsumerView& view) {
  if (view.reader == nullptr) return std::optional<md::Superblock>();
  auto found = find_md_superblock(*view.reader);
  if (!found && view.force && found.error().code == Errc::corrupt) {
    return std::optional<md::Superblock>();
  }
  return found;
}

Result<void> check_foreign(const md::Superblock& found, const md::Superblock& made,
                           const ConsumerView& view) {
  if (!view.force) {
    return make_error(Errc::exists, "{}: it holds {} {}, superblock {}, which would be lost",
                      view.name, md::level_name(found.level), md_title(found),
                      md::to_string(found.version));
  }
  const bool stays = found.superblock_offset_bytes != made.superblock_offset_bytes;
  if (!stays || found.created_seconds < made.created_seconds) return {};
  return make_error(Errc::exists,
                    "{}: the superblock {} of another array at byte {} would stay, and be believed "
                    "before that of this one; wipe it first",
                    view.name, md::to_string(found.version), found.superblock_offset_bytes);
}

}  // namespace

RedundantArray::RedundantArray(std::unique_ptr<MdArray> array)
    : array_(std::move(array)),
      all_(static_cast<MemberSet>((std::uint64_t{1} << array_->places.size()) - 1)),
      recorder_(std::move(array_->keeper), *this, array_->fua, array_->planted) {
  for (std::uint32_t role = 0; role < array_->places.size(); ++role) {
    if (!array_->places[role].bad_blocks.empty()) with_bad_blocks_ |= member_bit(role);
  }
}

// --- members that fail

bool RedundantArray::drop(MemberSet bad, Op op, Errc error) noexcept {
  const bool dropped =
      array_->members.drop(bad, op, error, [this](MemberSet live) { return enough(live); });
  if (dropped) recorder_.member_failed(bad);
  return dropped;
}

void RedundantArray::drop_devices(std::span<const std::uint32_t> consumers) noexcept {
  for (const std::uint32_t each : consumers) {
    const std::uint32_t role = role_of(each);
    if (role != MdPlace::kNobody) drop(member_bit(role), Op::write, Errc::io);
  }
}

std::uint32_t RedundantArray::role_of(std::uint32_t consumer) const noexcept {
  for (MemberSet left = array_->members.sets().written(); left != 0; left &= left - 1) {
    const std::uint32_t role = first_member(left);
    if (array_->places[role].consumer == consumer) return role;
  }
  return MdPlace::kNobody;
}

bool RedundantArray::has_bad_blocks(std::uint32_t role, std::uint64_t offset,
                                    std::uint64_t end) const noexcept {
  if ((with_bad_blocks_.load(std::memory_order_relaxed) & member_bit(role)) == 0) return false;
  const std::vector<Extent>& sorted = array_->places[role].bad_blocks;
  const auto next =
      std::upper_bound(sorted.begin(), sorted.end(), offset,
                       [](std::uint64_t at, const Extent& each) { return at < each.end(); });
  return next != sorted.end() && next->offset < end;
}

// --- that come and go

bool RedundantArray::lose(std::uint32_t consumer) {
  if (joining_ && joining_->consumer == consumer) joining_.reset();
  const std::uint32_t role = role_of(consumer);
  return role == MdPlace::kNobody || drop(member_bit(role), Op::read, Errc::gone);
}

// A member that comes back gets its own place where that is empty.
Result<std::uint32_t> RedundantArray::empty_place(const md::Superblock* old) const {
  const MemberSet empty = all_ & ~array_->members.sets().written();
  if (empty == 0) return make_error(Errc::invalid, "every place of the array has a member");
  const bool its_own = old != nullptr && old->role() < array_->places.size() &&
                       (empty & member_bit(old->role())) != 0;
  return its_own ? old->role() : first_member(empty);
}

Result<RedundantArray::Joining> RedundantArray::joining(std::uint32_t consumer,
                                                        const ConsumerView& view) const {
  const md::Keeper* const keeper = recorder_.keeper();
  if (keeper == nullptr) {
    return make_error(Errc::unsupported, "nothing is recorded on the members: none can join");
  }
  if (joining_) return make_error(Errc::busy, "another device is joining; one at a time");
  if (view.limits.block_bytes > array_->block_bytes) {
    return make_error(Errc::invalid, "{} has blocks of {} bytes, the array of {}", view.name,
                      view.limits.block_bytes, array_->block_bytes);
  }
  if (array_->fua && !view.limits.ops.fua()) {
    return make_error(Errc::unsupported, "{} cannot write through its cache, as the members can",
                      view.name);
  }
  auto found = found_on(view);
  if (!found) return found.error();
  const bool comes_back = *found && same_array(**found, array_->superblock());
  const md::Superblock* const old = comes_back ? &**found : nullptr;
  auto role = empty_place(old);
  if (!role) return role.error();
  auto made = md::superblock_like(array_->superblock(), view.size_bytes, random_uuid());
  if (!made) return made.error();
  if (*found && !comes_back) {
    if (auto gone = check_foreign(**found, *made, view); !gone) return gone.error();
  }
  const bool suffices = old != nullptr && old->role() == *role && !old->bad_blocks.in_use &&
                        old->data_bytes >= made->component_bytes && keeper->bitmap_suffices(*old);
  md::KeeperDevice device{
      suffices ? *old : std::move(*made), view.size_bytes, view.limits.block_bytes, {}};
  if (device.superblock.data_offset_bytes % array_->block_bytes != 0) {
    return make_error(Errc::invalid, "{}: data would begin at byte {}, within a block of {}",
                      view.name, device.superblock.data_offset_bytes, array_->block_bytes);
  }
  if (auto fits = keeper->fits(device); !fits) return fits.error();
  return Joining{consumer, *role, std::move(device), suffices};
}

Result<void> RedundantArray::add(std::uint32_t consumer, const ConsumerView& view) {
  auto comes = joining(consumer, view);
  if (!comes) return comes.error();
  if (array_->names.size() <= consumer) {
    array_->names.resize(consumer + 1);
    array_->superblocks.resize(consumer + 1);
  }
  array_->names[consumer] = view.name;
  array_->superblocks[consumer] = comes->device.superblock;
  joining_ = std::move(*comes);
  return {};
}

void RedundantArray::reach(std::uint32_t consumer) {
  if (!joining_ || joining_->consumer != consumer) return;
  const Joining comes = std::move(*std::exchange(joining_, std::nullopt));
  md::Keeper& keeper = *recorder_.keeper();
  // Asked before: what fits, fits.
  const auto number = keeper.add_device(comes.device, consumer);
  if (!number) return;
  ASHLAR_ASSERT(*number == consumer);
  keeper.start_recovery(consumer, comes.role, comes.by_bitmap);
  array_->places[comes.role] = {consumer, comes.device.superblock.data_offset_bytes, {}};
  with_bad_blocks_ &= ~member_bit(comes.role);
  took_place(comes.role);
  array_->members.set_filling(comes.role, 0);
}

Result<void> RedundantArray::remove(std::uint32_t consumer) {
  if (joining_ && joining_->consumer == consumer) {
    joining_.reset();
    return {};
  }
  const std::uint32_t role = role_of(consumer);
  if (role != MdPlace::kNobody && !drop(member_bit(role), Op::write, Errc::gone)) {
    return make_error(Errc::busy, "{} has data that no other member has", array_->names[consumer]);
  }
  if (recorder_.keeps()) recorder_.keeper()->device_failed(consumer);
  md::Assembly& assembly = array_->assembly;
  std::erase(assembly.spares, consumer);
  std::erase_if(assembly.left_out, [&](const auto& each) { return each.candidate == consumer; });
  return {};
}

}  // namespace ashlar
