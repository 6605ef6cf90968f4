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

#include "program/mailbox.h"
#include "program/measure.h"
#include "program/pool.h"
#include "program/program.h"

namespace ashlar {

class Lane;
class Channel;

// Children for one context. Forward progress: for every step that splits, `reserved` bios were set
// aside when the program was compiled, enough for one request at that step; so the request at the
// lowest waiting step can always go on, and with it, in the end, all the others. A step that builds
// parts (Split::add_part) has a second reserve for these: a part waits for nothing above it.
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
  // REQUIRES: in_flight() == 0.
  ~Generation();

  std::uint64_t in_flight() const noexcept { return started - ended; }

  // The root that was submitted just now is one to be measured; the one that was has ended.
  void begin_sample(const Bio& bio) noexcept;
  void end_sample() noexcept;

  // Counts from here on, or not; what was counted stays. Throws std::bad_alloc.
  void count_layers(bool on);
  const LayerCount* layer_counts() const noexcept { return all_counts_.get(); }

  // Set once `prepare` has succeeded. Errors: no_memory when even the reserves do not fit.
  Result<void> prepare();

  Lane& lane;
  const Program& program;
  const Step* const steps;
  Channel& channel;
  std::uint64_t started = 0;          // roots submitted
  std::uint64_t ended = 0;            // and ended
  const Bio* sampled = nullptr;       // the root whose time is being measured
  std::uint64_t sample_mask = ~0ull;  // roots whose number has none of these bits are measured
  LayerCount* counts = nullptr;       // by step, when the channel counts
  const OpSet ops;                    // what the channel may ask of the program
  const OpSet data_ops;               // of these, the ones with a place
  bool retired = false;
  BioPool roots;
  std::deque<ChildPool> pools;      // by slot
  std::unique_ptr<HopMail[]> mail;  // by hop
  // By step and, behind those, by step for its parts; touched by the step's context alone.
  std::unique_ptr<bool[]> reserve_in_use;

 private:
  Result<void> hold_locals();

  std::unique_ptr<LayerCount[]> all_counts_;
  std::vector<void*> held_locals_;  // bodies whose state in the lane this generation keeps
};

}  // namespace ashlar
