// What the conformance suite cannot know of a built-in class: parameters that make it quick or
// possible, what it finds on its disks. Most classes need nothing here.
#pragma once

#include "conformance/conformance.h"

namespace ashlar::test {

// THREAD: any. A file that a class needs is there as long as the process.
conformance::Options conformance_options(const ClassInfo& info);

}  // namespace ashlar::test
