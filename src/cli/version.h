// The version, as CMakeLists.txt states it for the whole project.
#pragma once

namespace ashlar::cli {

inline constexpr const char* kVersion = ASHLAR_VERSION;

}  // namespace ashlar::cli
