// The compiler's step that maps payloads: put before the first step of a path that must see bytes,
// in programs for callers whose memory may be unmapped (bio/unmapped.h).
#pragma once

#include "topology/step.h"

namespace ashlar {

// A step of its own rather than a question in every step: a stack whose users have mapped memory
// does not know of it.
StepCode mapping_code();

}  // namespace ashlar
