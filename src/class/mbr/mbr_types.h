// Names of MBR partition types.
#pragma once

#include <cstdint>
#include <string_view>

namespace ashlar {

// What people call the type, "Linux swap"; empty where the type is not one of the usual ones.
std::string_view mbr_type_name(std::uint8_t type) noexcept;

// Types 0x05, 0x0f and 0x85: a partition that holds a chain of logical ones.
bool is_extended_mbr_type(std::uint8_t type) noexcept;

}  // namespace ashlar
