// What is done before a device that was open for writing is closed.
#pragma once

#include "base/result.h"
#include "program/program.h"

namespace ashlar {

class Lane;

// Whether a layer of the program may have bytes that are not below yet (ClassFacts::keeps_dirty).
bool keeps_dirty(const Program& program);

// Sends a flush down and waits for its end: for as long as anything that a user would wait for.
// THREAD: the lane's. Errors: no_memory, timed_out, those of the device, with a sentence.
Result<void> flush_before_close(Lane& lane, const Program& program, const std::string& name);

}  // namespace ashlar
