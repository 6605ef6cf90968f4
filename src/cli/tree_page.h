// The tree for people: disks on the left, what was found and built over them to the right.
//
//   DEVICE              SIZE  BLOCK  CLASS
//   disk0             48 MiB  512 B  file    build/demo/disk0.img
//   │  gpt: ...                              why it was recognised
//   ├─ disk0/p1       16 MiB  512 B  gpt     label:fast-0
//   │  └─ fast        48 MiB  512 B  stripe  over disk0/p1, disk1/p1; chunk 256KiB
//   └─ disk0/p2       16 MiB  512 B  gpt     label:safe-0
//
// A device over several others stands under the first of them; the others point to it.
#pragma once

#include <string>

#include "cli/terminal.h"
#include "node/node.h"

namespace ashlar::cli {

std::string tree_page(const Node& node, const Paint& paint);

}  // namespace ashlar::cli
