// One lane's use of one compiled program: the pools and the count of requests under way. When a
// program is replaced, the lane's channel gets a new generation, and the old one lives until its
// last request has ended.
//
// THREAD: the lane's, but for pools[i > 0], which belong to the workers of the program.
#pragma once

#include <cstdint>
#include <deque>
#include <memory>
#include <vector>

#include "program/pool.h"
#include "program/program.h"

namespace ashlar {

class Lane;
class Channel;

// Children for one context. Forward progress: for every step that splits, `reserved` bios were set
// aside when the program was compiled, enough for one request at that step; so the request at the
// lowest waiting step can always go on, and with it, in the end, all the others.
struct ChildPool {
  ChildPool(std::uint32_t frame_bytes, std::pmr::memory_resource& memory)
      : pool(frame_bytes, memory) {}
  BioPool pool;
  std::uint64_t reserved = 0;     // not to be used but by the reserve's own step
  List<Bio, &Bio::queue> parked;  // requests that wait for children
};

class Generation {
 public:
  Generation(Channel& its_channel, Lane& its_lane, const Program& its_program,
             std::pmr::memory_resource& memory);
  Generation(const Generation&) = delete;
  Generation& operator=(const Generation&) = delete;
  // REQUIRES: in_flight == 0.
  ~Generation();

  // Set once `prepare` has succeeded. Errors: no_memory when even the reserves do not fit.
  Result<void> prepare();

  Channel& channel;
  Lane& lane;
  const Program& program;
  const Step* const steps;
  std::uint64_t in_flight = 0;  // roots submitted and not ended
  bool retired = false;
  BioPool roots;
  std::deque<ChildPool> pools;             // by slot
  std::unique_ptr<bool[]> reserve_in_use;  // by step; touched by the step's context alone

 private:
  Result<void> hold_locals();

  std::vector<void*> held_locals_;  // bodies whose state in the lane this generation keeps
};

}  // namespace ashlar
