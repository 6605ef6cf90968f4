// Memory that ends, under the name that tests know it by.
#pragma once

#include "conformance/bounded_memory.h"

namespace ashlar::test {

using conformance::BoundedMemory;

}  // namespace ashlar::test
