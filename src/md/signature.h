// What the first bytes of a device say that it holds: file systems, partition tables, encryption
// and volumes, by their magic numbers. Enough to warn before something is overwritten, and to see
// that members of an array have been put together in the right order; not a parser of any of them.
//
// THREAD: any; pure functions over values.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "base/bytes.h"

namespace ashlar::md {

// As far as the ones that are known reach.
inline constexpr std::uint64_t kSignatureBytes = 68 * kKiB;

struct Signature {
  std::string what;                         // "an ext file system"
  std::optional<std::uint64_t> size_bytes;  // that it says it has
};

// Looks at the first bytes of a device, kSignatureBytes or all there are.
std::optional<Signature> signature_of(ByteView start);

}  // namespace ashlar::md
