// The two halves of a hop, and custody of what a worker has.
#include "program/hop.h"

#include <new>

#include "program/fault.h"
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

// `box` is of the context that runs this.
void hand_over(Bio& bio, Mailbox& box, const HopSide& to, BioDirection direction,
               Context& cx) noexcept {
  bio.direction = direction;
  bio.state = BioState::transit;
  // Whoever walks a tree and reads that a bio is his own sees the rest of its state, too.
  __atomic_store_n(&bio.slot, to.slot, __ATOMIC_RELEASE);
  cx.mail(box, bio);
}

Verdict hop_down(void* body, Bio& bio, void*, Context& cx) noexcept {
  const auto& hop = *static_cast<HopState*>(body);
  leave(bio, hop.from);
  hand_over(bio, bio.home->mail[hop.index].down, hop.to, BioDirection::leave_down, cx);
  return Verdict::held();
}

Verdict hop_up(void* body, Bio& bio, void*, Context& cx) noexcept {
  const auto& hop = *static_cast<HopState*>(body);
  leave(bio, hop.to);
  hand_over(bio, bio.home->mail[hop.index].up, hop.from, BioDirection::up, cx);
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

void address_mail(const Program& program, Lane& lane, HopMail* mail) {
  const auto context_of = [&](const HopSide& side) -> Context* {
    return side.worker != nullptr ? static_cast<Context*>(side.worker) : &lane;
  };
  for (const auto& hop : program.hops) {
    HopMail& its = mail[hop->index];
    its.down.sender = its.up.receiver = context_of(hop->from);
    its.down.receiver = its.up.sender = context_of(hop->to);
    // What comes up was let in on its way down.
    its.down.bounded = hop->to.worker != nullptr;
  }
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
  fault_of(bio) = fault_at(bio);
  direction = back_from_hop(step);
}

}  // namespace ashlar
