// The model of a device's blocks, under the name that tests know it by.
#pragma once

#include "conformance/block_model.h"

namespace ashlar::test {

using conformance::BlockModel;
using conformance::kZeros;
using conformance::Version;

}  // namespace ashlar::test
