// Time and order, simulated: the clock stands still until somebody moves it, and of the contexts
// that have something to do, the seed says which takes the next turn.
//
//   World world(seed, trace);
//   Lane& lane = world.add_lane();
//   auto program = compile(top, {.clock = &world.clock(), .workers = &world});
//   ...
//   while (world.step()) {}          // until nothing can happen any more
//
// Lanes are polled and workers take turns here, on one thread; each keeps its inbox, its run list
// and its timers, and everything in between is the real code.
//
// THREAD: one. OWNERSHIP: the world owns its lanes; it outlives programs and topology.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "base/random.h"
#include "program/lane.h"
#include "program/worker.h"
#include "sim/trace.h"

namespace ashlar::sim {

class SimClock final : public Clock {
 public:
  std::uint64_t now_ns() const noexcept override { return now_ns_; }
  void advance(std::uint64_t ns) noexcept { now_ns_ += ns; }

 private:
  std::uint64_t now_ns_ = 0;
};

class World final : public WorkerDriver {
 public:
  World(std::uint64_t seed, Trace& trace) : random_(seed), trace_(trace) {}
  World(const World&) = delete;
  World& operator=(const World&) = delete;

  // A lane without an engine, that step() polls.
  Lane& add_lane();

  const Clock& clock() const { return clock_; }
  std::uint64_t now_ns() const { return clock_.now_ns(); }
  Trace& trace() { return trace_; }

  // Lets one context take a turn, or time pass to the next timer. False: there is nothing to do
  // and no timer to wait for.
  bool step();

  void add(Worker& worker) override { workers_.push_back(&worker); }
  void remove(Worker& worker) override { std::erase(workers_, &worker); }

 private:
  // Lanes first, then workers.
  std::size_t contexts() const { return lanes_.size() + workers_.size(); }
  bool wants_turn(std::size_t context) const;
  void turn(std::size_t context);
  // To the next timer, `most_ns` at the most; false: there is none.
  bool pass_time(std::uint64_t most_ns);

  Random random_;
  Trace& trace_;
  SimClock clock_;
  std::vector<std::unique_ptr<Lane>> lanes_;
  std::vector<Worker*> workers_;
  std::vector<std::size_t> ready_;  // kept for its memory
};

}  // namespace ashlar::sim
