// What is done before a device that was open for writing is closed.
#pragma once

#include <string>

#include "base/result.h"
#include "program/program.h"

namespace ashlar {

class Lane;

// A user flushes before he closes. What one has left in a layer that keeps it (topology/
// GeomBody::wants_flush) goes below all the same: a flush is sent down, and waited for. Does
// nothing where nothing is dirty, or the device is gone. REQUIRES: what is below is still open for
// writing. THREAD: the lane's. Errors: no_memory, timed_out, those of the device, with a sentence.
Result<void> flush_what_is_dirty(Lane& lane, const Program& program, const Provider& device);

}  // namespace ashlar
