// Where a request failed, as it is noted on the way.
#pragma once

#include "program/generation.h"

namespace ashlar {

// For a bio that fails at the step where it is.
inline Fault fault_at(const Bio& bio) noexcept {
  return {.step = bio.pc, .program = bio.home->program.number, .offset = bio.offset};
}

}  // namespace ashlar
