// Hops: the compiler's steps that hand a bio from one context to another. One is put before and
// after every detached step, and between all steps in queued dispatch; nowhere else.
//
//   lane:    ... step | hop E -->                          --> hop B | step ...
//   worker:                  [region: detached step] -->
//
// The steps between an entering hop and the leaving hops are a *region*: they run in one worker.
// While a worker has a bio, the bio is in the worker's custody list, by a record in the pad of the
// entering hop, so that a cancel from outside finds it. A child that was built inside the region is
// found through its parent instead.
#pragma once

#include <cstdint>

#include "base/list.h"
#include "program/program.h"

namespace ashlar {

class Context;

// Lies in the entering hop's pad.
struct CustodyRecord {
  ListLink link;
  Bio* bio;
};

// One side of a hop.
struct HopSide {
  Worker* worker = nullptr;  // null: the bio's lane
  std::uint16_t slot = 0;
  std::int32_t region = kNoStep;  // the entering hop's step; kNoStep on a lane
};

struct HopState {
  HopSide from;  // above
  HopSide to;    // below
};

// The code of a hop step; its body is a HopState.
StepCode hop_code(HopState& state);

// What a context does with a bio that came through its inbox: takes custody, and turns a cancelled
// one around. `direction` is how the bio goes on.
void arrive(Bio& bio, Context& cx, BioDirection& direction) noexcept;

}  // namespace ashlar
