// Counts every allocation that a benchmark's process makes with new: the data path must make none.
#pragma once

#include <cstdint>

namespace ashlar::bench {

// Allocations since the process began.
std::uint64_t heap_allocations();

}  // namespace ashlar::bench
