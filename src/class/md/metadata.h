// What an array that is to be written needs to know of its members' metadata: read once, when it is
// made.
#pragma once

#include <span>

#include "class/md/array.h"

namespace ashlar {

// Gives `array`, which is assembled, its keeper. Errors, and it has none then: what the keeper and
// the bitmap say; those of the members. THREAD: the control thread, during create().
Result<void> add_md_keeper(MdArray& array, std::span<ConsumerView> consumers);

}  // namespace ashlar
