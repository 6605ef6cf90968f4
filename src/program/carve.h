// The compiler's first step where a device cannot take the longest requests whole: it carves them
// into pieces of the device's maximum, kMaxPieces under way at a time.
#pragma once

#include "program/program.h"

namespace ashlar {

// The code of the carve step; its body is the Program.
StepCode carve_code(Program& program);

}  // namespace ashlar
