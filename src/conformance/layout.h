// Where a device's bytes lie, as far as its class says: the borders at which a request must be cut.
#pragma once

#include <vector>

#include "conformance/subject.h"

namespace ashlar::conformance {

// The bytes at which what lies below changes: ends of extents, chunks and partitions, and of the
// longest requests; ascending, 0 and the size included. At most a few dozen, spread evenly.
const std::vector<std::uint64_t>& borders(Subject& subject);

// Requests that end at, cross and start at each border, of a block and of some; within the device.
std::vector<Extent> border_extents(Subject& subject);

// A request over a border in the middle: the one with most to go wrong.
Extent crossing_extent(Subject& subject);

// Up to `most` of the numbers from 1 to `count`: the first ones, the middle, the last.
std::vector<std::uint64_t> sample(std::uint64_t count, std::uint64_t most);

}  // namespace ashlar::conformance
