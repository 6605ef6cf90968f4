// Hops: the compiler's steps that hand a bio from one context to another. One is put before and
// after every detached step, and between all steps in queued dispatch; nowhere else.
//
//   lane:    ... step | hop E -->                          --> hop B | step ...
//   worker:                  [region: detached step] -->
//
// The steps between an entering hop and the leaving hops are a *region*: they run in one context.
// While that has a bio, the bio is in its custody list, by a record in the pad of the entering hop,
// so that a cancel from outside finds it. A child that was built inside the region is found through
// its parent instead; so is everything in the first region, the lane's, through its root.
#pragma once

#include <cstdint>

#include "program/context.h"
#include "program/mailbox.h"
#include "program/program.h"

namespace ashlar {

// One side of a hop.
struct HopSide {
  Worker* worker = nullptr;  // null: the bio's lane
  std::uint16_t slot = 0;
  std::int32_t region = kNoStep;  // the entering hop's step; kNoStep: the program's first region
};

struct HopState {
  HopSide from;             // above
  HopSide to;               // below
  std::uint32_t index = 0;  // among the program's hops; the place of its mail in a generation
};

// The code of a hop step; its body is a HopState.
StepCode hop_code(HopState& state);

// How a bio that came to the far side of a hop and goes no further walks up: through the hop, or
// past one that leads back for good.
inline BioDirection back_from_hop(const Step& hop) noexcept {
  return hop.on_complete != nullptr ? BioDirection::complete : BioDirection::up;
}

// Addresses the mailboxes of `program`'s hops for requests of `lane`.
void address_mail(const Program& program, Lane& lane, HopMail* mail);

// What a context does with a bio that came through its inbox: takes custody, and turns a cancelled
// one around. `direction` is how the bio goes on.
void arrive(Bio& bio, Context& cx, BioDirection& direction) noexcept;

}  // namespace ashlar
