// Where a byte of a device lies, and what went wrong where, in words.
#pragma once

#include <string>
#include <vector>

#include "program/program.h"

namespace ashlar {

// One layer on the way of a byte from a device down to a disk.
struct ByteLocation {
  const Provider* provider = nullptr;  // null: the consumer there is lost
  std::uint64_t offset = 0;            // bytes, on it
  int depth = 0;                       // 0 is the device that was asked about
};

// Every layer that holds byte `offset` of `top`, in preorder; copies (mirrors) branch.
// REQUIRES: offset < top.size_bytes. THREAD: the control thread.
std::vector<ByteLocation> locate_byte(const Provider& top, std::uint64_t offset);

// A sentence for a request that ended with an error: the operation, the device and byte that were
// asked for, the layer, disk and byte where it failed; without those where a caller's own bio ran
// another program. `offset`: as submitted.
std::string describe_failure(const Program& program, Bio& bio, std::uint64_t offset);

}  // namespace ashlar
