// raid4, 5 and 6: what has to be made right, in whole stripes.
#include <algorithm>

#include "class/md/parity_array.h"

namespace ashlar {

// Ranges of the members' data as stripes of the array, with neighbours joined.
std::vector<Extent> ParityArray::rows_of(std::span<const Extent> member_ranges) const {
  std::vector<Extent> rows;
  for (const Extent& each : member_ranges) {
    const std::uint64_t first = each.offset / chunk_bytes_;
    const std::uint64_t end = (each.offset + each.length + chunk_bytes_ - 1) / chunk_bytes_;
    const std::uint64_t last = std::min(end, layout_.stripes());
    if (first >= last) continue;
    const Extent row{first * row_bytes_, (last - first) * row_bytes_};
    const std::uint64_t so_far = rows.empty() ? 0 : rows.back().offset + rows.back().length;
    if (rows.empty() || row.offset > so_far) {
      rows.push_back(row);
    } else {
      rows.back().length = std::max(so_far, row.offset + row.length) - rows.back().offset;
    }
  }
  return rows;
}

// Whole stripes whose parity may not fit.
std::vector<Extent> ParityArray::to_resync() const {
  if (const md::Keeper* const keeper = recorder_.keeper()) return rows_of(keeper->to_resync());
  const std::uint64_t from = array_->assembly.resync_offset_bytes;
  if (from >= layout_.member_bytes()) return {};
  const Extent rest{from, layout_.member_bytes() - from};
  return rows_of({&rest, 1});
}

UpkeepJob ParityArray::whole(UpkeepJob::Kind kind) {
  looked_after_.store(true, std::memory_order_relaxed);
  return {
      kind, {{0, layout_.array_bytes()}}, 0, kind == UpkeepJob::Kind::check ? "check" : "repair"};
}

// First the members that are missing, then parity: a stripe is resynced on its way through a
// recovery, since what is computed for the member is right for the others as they are.
std::optional<UpkeepJob> ParityArray::due() {
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
    const Extent rest{lacking->from, layout_.member_bytes() - lacking->from};
    job = UpkeepJob{UpkeepJob::Kind::recovery,
                    lacking->by_bitmap ? rows_of(lacking->ranges) : rows_of({&rest, 1}),
                    array_->places[role].consumer, fmt::format("recovery of place {}", role)};
  }
  if (job) looked_after_.store(true, std::memory_order_relaxed);
  return job;
}

bool ParityArray::wanted(const UpkeepJob& job) const noexcept {
  if (job.kind != UpkeepJob::Kind::recovery) return true;
  const std::uint32_t role = role_of(job.consumer);
  return role != MdPlace::kNobody && (array_->members.sets().filling & member_bit(role)) != 0;
}

void ParityArray::progress(const UpkeepJob& job, std::uint64_t offset) noexcept {
  md::Keeper* const keeper = recorder_.keeper();
  const std::uint64_t done = offset / row_bytes_ * chunk_bytes_;
  if (keeper == nullptr) return;
  if (job.kind == UpkeepJob::Kind::resync) {
    keeper->set_resync(done);
    unsure_.set_sure(done / chunk_bytes_ * row_bytes_);
  }
  if (job.kind != UpkeepJob::Kind::recovery) return;
  const std::uint32_t role = role_of(job.consumer);
  if (role == MdPlace::kNobody) return;
  array_->members.set_filled(role, done);
  keeper->set_recovery(role, done);
}

bool ParityArray::finish(const UpkeepJob& job) noexcept {
  looked_after_.store(false, std::memory_order_relaxed);
  md::Keeper* const keeper = recorder_.keeper();
  if (keeper == nullptr || job.kind == UpkeepJob::Kind::check) return true;
  if (job.kind == UpkeepJob::Kind::resync || job.kind == UpkeepJob::Kind::repair) {
    unsure_.set_all_sure();
    return keeper->resync_done();
  }
  const std::uint32_t role = role_of(job.consumer);
  if (role == MdPlace::kNobody || !array_->members.finish(role)) return false;
  keeper->member_recovered(role);
  return true;
}

std::uint64_t ParityArray::requests() const noexcept {
  std::uint64_t sum = 0;
  locals_.for_each([&](const ParityLocal& each) { sum += each.requests(); });
  return sum;
}

// As the kernel counts: all sectors of a block in which something is wrong.
std::uint64_t ParityArray::mismatches() const noexcept {
  return wrong_blocks_.load(std::memory_order_relaxed) * (kStripeBlockBytes / 512);
}

}  // namespace ashlar
