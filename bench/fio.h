// fio as a peer: 4 KiB random reads of a file through its io_uring engine.
#pragma once

#include <optional>
#include <string>

namespace ashlar::bench {

struct FioRun {
  std::string path;
  unsigned depth = 1;
  bool direct = false;
  bool patient = false;  // fetches completions by a quarter of the depth, not as they come
  unsigned seconds = 2;
};

struct FioCost {
  double wall_ns = 0;  // per request
  double cpu_ns = 0;   // of its process, the kernel's workers included
};

// What a read cost fio. It is given what makes it fast: no timestamps, no map of blocks, and half a
// queue handed to the kernel with one system call. Nothing where it is not installed or fails.
std::optional<FioCost> run_fio(const FioRun& run);

}  // namespace ashlar::bench
