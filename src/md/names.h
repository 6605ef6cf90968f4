// Levels and layouts as mdadm's command line names them.
//
// THREAD: any; pure functions over values.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/result.h"
#include "md/superblock.h"

namespace ashlar::md {

// "1.2", and "0.9" or "0.90". Errors: invalid, with those that there are.
Result<Version> version_of(std::string_view word);

// "5", "raid5", "linear". Errors: invalid, with those that there are.
Result<std::int32_t> level_of(std::string_view word);

// The layout word of a level: "left-symmetric" or "ls" (raid5), "ddf-N-continue" (raid6), "n2",
// "f3", "o2" (raid10), "original" (raid0). Errors: invalid, with those that there are.
Result<std::uint32_t> layout_of(std::int32_t level, std::string_view word);

// What mdadm takes where none is given.
std::uint32_t default_layout(std::int32_t level);

// The name of a layout; empty for levels that have none, the number where no name is known.
std::string layout_name(std::int32_t level, std::uint32_t layout);

// A UUID as 32 digits in base 16, with any ':', '-' or '.' between them; as mdadm prints it, so
// that uuid_text() of a superblock with it has the same digits. Errors: invalid.
Result<Uuid> uuid_of(std::string_view text, Version version);

}  // namespace ashlar::md
