// Redundant arrays: what has to be made right.
#include "class/md/redundant.h"

namespace ashlar {

// What may be wrong between members, in whole steps of the array.
std::vector<Extent> RedundantArray::to_resync() const {
  if (const md::Keeper* const keeper = recorder_.keeper()) return ranges_of(keeper->to_resync());
  const std::uint64_t from = array_->assembly.resync_offset_bytes;
  const std::uint64_t all = array_->layout().sync_bytes();
  if (from >= all) return {};
  const Extent rest{from, all - from};
  return ranges_of({&rest, 1});
}

UpkeepJob RedundantArray::whole(UpkeepJob::Kind kind) {
  looked_after_.store(true, std::memory_order_relaxed);
  const bool checks = kind == UpkeepJob::Kind::check;
  return {kind, {{0, array_->size_bytes()}}, 0, checks ? "check" : "repair"};
}

// First the members that are missing, then what may differ: a range is made right on its way
// through a recovery, since what is computed or copied for the member fits the others as they are.
std::optional<UpkeepJob> RedundantArray::due() {
  md::Keeper* const keeper = recorder_.keeper();
  looked_after_.store(false, std::memory_order_relaxed);
  if (keeper == nullptr) return std::nullopt;
  std::optional<UpkeepJob> job;
  const MemberSet filling = array_->members.sets().filling;
  std::vector<Extent> resync = to_resync();
  if (!resync.empty() && filling == 0) {
    job = UpkeepJob{UpkeepJob::Kind::resync, std::move(resync), 0, "resync"};
  } else if (filling != 0) {
    const std::uint32_t role = first_member(filling);
    const std::optional<md::Lacking> lacking = keeper->to_recover(role);
    if (!lacking) return std::nullopt;
    job = UpkeepJob{
        UpkeepJob::Kind::recovery,
        lacking->by_bitmap ? ranges_of(lacking->ranges) : ranges_from(role, lacking->from),
        array_->places[role].consumer, fmt::format("recovery of place {}", role)};
  }
  if (job) looked_after_.store(true, std::memory_order_relaxed);
  return job;
}

bool RedundantArray::wanted(const UpkeepJob& job) const noexcept {
  if (job.kind != UpkeepJob::Kind::recovery) return true;
  const std::uint32_t role = role_of(job.consumer);
  return role != MdPlace::kNobody && (array_->members.sets().filling & member_bit(role)) != 0;
}

void RedundantArray::progress(const UpkeepJob& job, std::uint64_t offset) noexcept {
  md::Keeper* const keeper = recorder_.keeper();
  if (keeper == nullptr) return;
  if (job.kind == UpkeepJob::Kind::resync) {
    keeper->set_resync(synced_below(offset));
    made_right(offset);
  }
  if (job.kind != UpkeepJob::Kind::recovery) return;
  const std::uint32_t role = role_of(job.consumer);
  if (role == MdPlace::kNobody) return;
  const std::uint64_t filled = filled_below(offset);
  if (filled <= array_->members.filled_bytes(role)) return;
  array_->members.set_filled(role, filled);
  keeper->set_recovery(role, filled);
}

bool RedundantArray::finish(const UpkeepJob& job) noexcept {
  looked_after_.store(false, std::memory_order_relaxed);
  md::Keeper* const keeper = recorder_.keeper();
  if (keeper == nullptr || job.kind == UpkeepJob::Kind::check) return true;
  if (job.kind == UpkeepJob::Kind::resync || job.kind == UpkeepJob::Kind::repair) {
    return resync_done(*keeper);
  }
  const std::uint32_t role = role_of(job.consumer);
  if (role == MdPlace::kNobody || !array_->members.finish(role)) return false;
  keeper->member_recovered(role);
  return true;
}

std::uint64_t RedundantArray::mismatches() const noexcept {
  return wrong_blocks_.load(std::memory_order_relaxed) * (kBlockBytes / 512);
}

}  // namespace ashlar
