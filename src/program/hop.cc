// The two halves of a hop, and custody of what a worker has.
#include "program/hop.h"

#include <new>

#include "program/lane.h"
#include "program/worker.h"

namespace ashlar {
namespace {

CustodyRecord& record_of(Bio& bio, std::int32_t region) noexcept {
  const Step& enter = bio.home->steps[region];
  return *reinterpret_cast<CustodyRecord*>(Program::pad_of(bio, enter));
}

// Children built inside a region are their parent's business, not the custody list's.
bool has_record(const Bio& bio, const HopSide& side) noexcept {
  if (side.region == kNoStep) return false;
  return bio.parent == nullptr || bio.parent->pc < side.region;
}

void take(Bio& bio, const HopSide& side, Context& cx) noexcept {
  if (!has_record(bio, side)) return;
  auto* record = new (&record_of(bio, side.region)) CustodyRecord;
  record->bio = &bio;
  cx.custody.push_back(*record);
}

void leave(Bio& bio, const HopSide& side) noexcept {
  if (has_record(bio, side)) record_of(bio, side.region).link.unlink();
}

void hand_over(Bio& bio, const HopSide& side, BioDirection direction) noexcept {
  bio.direction = direction;
  bio.state = BioState::transit;
  Context& target = side.worker != nullptr ? static_cast<Context&>(*side.worker)
                                           : static_cast<Context&>(bio.home->lane);
  // Whoever walks a tree and reads that a bio is his own sees the rest of its state, too.
  __atomic_store_n(&bio.slot, side.slot, __ATOMIC_RELEASE);
  target.post(bio);
}

Verdict hop_down(void* body, Bio& bio, void*, Context&) noexcept {
  const auto& hop = *static_cast<HopState*>(body);
  leave(bio, hop.from);
  hand_over(bio, hop.to, BioDirection::leave_down);
  return Verdict::held();
}

Verdict hop_up(void* body, Bio& bio, void*, Context&) noexcept {
  const auto& hop = *static_cast<HopState*>(body);
  leave(bio, hop.to);
  hand_over(bio, hop.from, BioDirection::up);
  return Verdict::held();
}

}  // namespace

StepCode hop_code(HopState& state) {
  StepCode code;
  code.body = &state;
  code.on_request = &hop_down;
  code.on_complete = &hop_up;
  code.pad_bytes = sizeof(CustodyRecord);
  return code;
}

void arrive(Bio& bio, Context& cx, BioDirection& direction) noexcept {
  const Step& step = bio.home->steps[bio.pc];
  const auto& hop = *static_cast<const HopState*>(step.body);
  if (direction == BioDirection::up) {
    take(bio, hop.from, cx);
    return;
  }
  take(bio, hop.to, cx);
  if (!bio.cancel_requested()) return;
  bio.fail(Errc::cancelled);
  fault_of(bio) = Fault{.step = bio.pc, .reserved = 0, .offset = bio.offset};
  direction = BioDirection::complete;
}

}  // namespace ashlar
