// Advisory locks against a second writer of the same image, in the terms that QEMU uses
// (block/file-posix.c), so that a disk in use by a virtual machine is not written to, and a virtual
// machine does not start on a disk that is being written here.
//
// A program that uses a permission holds a shared lock on the byte 100 + p of the file; one that
// does not let others use it holds a shared lock on byte 200 + p. Each takes its own locks first
// and looks for contradicting ones then, so that of two who start together at most one goes on.
//
// Readers take no lock: reading harms nobody, and looking at a disk in use is a legitimate wish.
#pragma once

#include <string>
#include <string_view>

#include "base/result.h"

namespace ashlar {

// Locks `fd`, a description opened for writing; the locks end with it. The value is empty, or says
// why there are no locks (a file system without them). Errors: busy.
Result<std::string> lock_for_writing(int fd, std::string_view path);

}  // namespace ashlar
