// One simulated run: a stack of real classes over simulated disks, some lives of it with a power
// cut at the end of each, and a model that knows what must have survived. Everything follows from
// the seed.
//
//   life:   assemble -> requests at depth, cancels, deadlines, dying disks -> power cut at any
//   point
//           -> everything under way must still end -> assemble anew over what survived
//           -> every sector, seen through each leg of each mirror, is what the model permits
//           -> arrays are resynced, with a power cut or without; then they are clean, their parity
//           fits, and without any members that they can do without they show the same
//
// A run ends early where an array was dirty and degraded: what was computed for its missing member
// may be wrong, and is not looked at; or where one has lost more members than it can do without.
//
// THREAD: one; runs on different threads do not touch each other.
#pragma once

#include <cstdint>
#include <cstdio>
#include <optional>
#include <string>

#include "class/list.h"
#include "sim/load.h"
#include "sim/plan.h"

namespace ashlar::sim {

struct RunOptions {
  std::uint64_t seed = 1;
  FaultSetting faults = FaultSetting::honest;
  Stacks stacks = Stacks::any;
  FindClass find = &find_builtin_class;
  MakeTimekeeper make_timekeeper = &real_timekeeper;
  std::FILE* sink = nullptr;  // where the trace is printed
};

struct RunResult {
  std::uint64_t hash = 0;              // of all that happened
  std::optional<std::string> failure;  // what went wrong, one sentence
  std::string stack;                   // "direct dispatch: stripe(disk0, mirror(disk1, disk2))"
  std::uint64_t events = 0;
  std::uint64_t requests = 0;
  std::uint64_t timed_out = 0;  // of these, ended by their deadline
  std::uint64_t cuts = 0;
  std::uint64_t arrays = 0;    // 1: the stack has one
  std::uint64_t resyncs = 0;   // that were carried out
  std::uint64_t insisted = 0;  // runs that ended with an array that was dirty and degraded
  std::uint64_t lost = 0;      // or that had lost too many members
  std::uint64_t simulated_ns = 0;
};

RunResult run(const RunOptions& options);

}  // namespace ashlar::sim
