// What a GPT says in words: UUIDs, names, and what the types are called.
#pragma once

#include <string>
#include <string_view>

#include "base/bytes.h"

namespace ashlar {

inline constexpr std::size_t kGuidBytes = 16;

// The text form in lower case, "c12a7328-f81f-11d2-ba4b-00a0c93ec93b". On disk the first three
// fields are little-endian and the rest is a string of bytes (UEFI 2.10, appendix A).
// REQUIRES: guid holds at least kGuidBytes.
std::string guid_text(ByteView guid);

// UTF-16LE up to the first NUL or the end of `units`, as UTF-8. Unpaired surrogates and control
// characters become U+FFFD, so that a name is safe to print. REQUIRES: an even number of bytes.
std::string utf8_from_utf16le(ByteView units);

// What people call a partition type given as guid_text, "EFI system"; empty where not known.
std::string_view gpt_type_name(std::string_view guid) noexcept;

}  // namespace ashlar
