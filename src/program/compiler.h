// Turns the graph beneath a provider into a linear program.
//
//   1. maps fold: every tower of map providers becomes one addition on an edge, or one lookup;
//   2. the rest lies down in preorder, each step with the offset of its pad and its `up`;
//   3. where the context changes (a detached class, queued dispatch), a hop is put in between;
//   4. where payloads may be unmapped, a mapping step is put before the first step of each path
//      that must see bytes.
//
// Time and memory are linear in the number of nodes on all paths from the top to the leaves.
#pragma once

#include <memory>

#include "base/result.h"
#include "program/program.h"

namespace ashlar {

class Clock;
class WorkerDriver;

struct CompileOptions {
  Dispatch dispatch = Dispatch::direct;
  bool unmapped = false;            // requests may have kUnmapped; others pay for a step, too
  const Clock* clock = nullptr;     // for workers; null: system_clock()
  WorkerDriver* workers = nullptr;  // drives new workers; null: each has a thread of its own
};

// THREAD: the control thread. Errors: gone when the provider is orphaned; invalid when the program
// would exceed kMaxSteps or a map kMaxExtents.
Result<std::unique_ptr<Program>> compile(Provider& top, const CompileOptions& options);

}  // namespace ashlar
