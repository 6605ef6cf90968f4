// The files of overlays.
//
// THREAD: any; they wait for the disk.
#pragma once

#include <string>

#include "base/result.h"
#include "class/overlay/store_format.h"

namespace ashlar::overlay {

// Numbers that no other overlay has. Errors: what the system says.
Result<Identity> fresh_identity();

// Makes the file `path`, whole or not at all. Errors: exists; what the system says.
Result<void> make_store_file(const std::string& path, const Header& header);

// A file of `bytes` bytes, all of them a hole, in $TMPDIR or /var/tmp; its path. Whoever has opened
// it removes it. Errors: what the system says.
Result<std::string> make_temporary_file(std::uint64_t bytes);

}  // namespace ashlar::overlay
