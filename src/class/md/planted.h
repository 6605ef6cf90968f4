// Bugs of arrays that keep records, planted for the simulator to find (sim/planted_arrays_test.cc).
// The class plants none.
#pragma once

#include <cstdint>

#include "topology/class.h"

namespace ashlar {

enum class MdPlanted : std::uint8_t {
  none,
  silent_failures,  // changes are acknowledged without a record of who failed in them
  late_dirt,        // bits and the dirty flag are written after the data that they are for
  early_clean,      // bits are cleared, and clean is said, while data are still under way
};

// As the class makes its geoms, with a bug.
Result<GeomPlan> create_md(const CreateArguments& arguments, MdPlanted planted);

}  // namespace ashlar
