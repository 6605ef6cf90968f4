// A compiled stack: one array of steps, one array of edges between them.
//
//   gpt(p1) over stripe over 2 files           steps                     edges
//                                     entry ->  0 stripe   pad 24          0 -> 1  + 0
//   (the map of p1 is folded into              1 file a   pad 48          1 -> 2  + 0
//    the entry edge: offset + 1 MiB)           2 file b   pad 48          entry -> 0  + 1 MiB
//
// Steps lie in preorder: every edge leads forward, and a step's `up` (the next step above it that
// wants to see completions) lies before it. Going down is `pc = edge.target`; going up is
// `pc = step.up`; there is no stack and nothing recurses.
//
// OWNERSHIP: a Program is immutable once compiled and outlives every bio that runs it (Generation).
// The bodies it points to are owned by geoms, which outlive it.
// THREAD: read by any context.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "program/lookup.h"
#include "topology/geom.h"
#include "topology/step.h"

namespace ashlar {

class Worker;
struct HopState;

inline constexpr std::int32_t kNoStep = -1;

// The most steps of one program; a device reached on many paths is compiled once for each.
inline constexpr std::uint32_t kMaxSteps = 1u << 20;

struct Step;

// How a request passes from a step (or from the caller) to the step below: the one place where
// range and alignment are checked, and where folded maps have left their sum.
struct Edge {
  std::uint64_t size_bytes = 0;  // of the device at the upper end
  std::uint64_t add_bytes = 0;   // folded maps
  const Step* step = nullptr;    // steps[target]
  std::int32_t target = kNoStep;
  std::uint32_t align_mask = 0;  // block size - 1 of the device at the upper end
};

// What the executor does with an operation at a step; made from the class's OpPolicy.
enum class StepAction : std::uint8_t {
  call,           // on_request, at once
  call_reserved,  // on_request, when max_children are set aside
  pass,           // over edge 0
  broadcast,      // a child over every edge
};

// The hot part of a step: one cache line.
struct alignas(64) Step {
  RequestFn on_request = nullptr;
  RequestFn on_complete = nullptr;  // null: no completion
  void* body = nullptr;
  const Edge* edges = nullptr;  // one for each consumer; for a leaf, one that nothing may take
  const Step* up = nullptr;     // the nearest step above with on_complete
  std::int32_t index = 0;       // of this step in the program
  std::uint32_t pad = 0;        // offset of the pad in the frame, bytes
  std::uint16_t edge_count = 0;
  std::uint16_t max_children = 0;  // 0: never splits
  std::uint16_t slot = 0;          // the context that runs it
  StepAction action[kOpCount] = {};
};
static_assert(sizeof(Step) == 64);

enum class StepKind : std::uint8_t {
  geom,     // a class's step
  lookup,   // folded maps
  carve,    // step 0: cuts requests that are too long
  hop,      // to another context
  mapping,  // maps payloads for the step below
  lost,     // stands for a consumer that is gone
};

// The cold part, by the same index: for splitting, cancelling, explaining.
struct StepInfo {
  StepKind kind = StepKind::geom;
  RequestFn on_complete = nullptr;  // the class's own, where the step's reserves children first
  ChildFn on_child = nullptr;
  CancelFn on_cancel = nullptr;
  MakeLocalFn make_local = nullptr;
  FileRangeFn file_range = nullptr;
  Provider* provider = nullptr;   // whose requests the step serves; the step's geom is its geom
  bool builds_parts = false;      // two reserves: for whole requests, and for their parts
  std::uint32_t pad_bytes = 0;    // with the saved offset where there is a completion
  std::uint32_t first_edge = 0;   // the step's edges begin at program.edges[first_edge]
  std::int32_t up = kNoStep;      // index of step.up
  std::int32_t parent = kNoStep;  // the step whose edge leads here
  std::uint32_t parent_edge = 0;  // which of the parent's edges; entry edge: 0
  std::string note;               // why a hop or a mapping is here
};

// One extra context of a program: a detached geom's worker, or a dispatcher of queued mode.
struct WorkerSlot {
  Worker* worker = nullptr;
  std::string reason;
};

struct Folded {
  std::vector<const Provider*> maps;  // that an edge runs through, from above
};

enum class Dispatch : std::uint8_t { direct, queued };

struct Program {
  const std::uint32_t number;  // no other program of this process has it; never 0
  Provider* top = nullptr;
  Dispatch dispatch = Dispatch::direct;
  bool maps_payloads = false;  // takes requests with kUnmapped
  Edge entry;                  // requests that fit max_request
  Edge carve_entry;            // longer ones; target kNoStep when none can be longer
  OpSet ops;
  std::uint64_t max_request_bytes = 0;
  std::uint64_t max_range_bytes = 0;
  std::uint32_t frame_bytes = 0;  // fault record and all pads
  std::vector<Step> steps;
  std::vector<Edge> edges;
  std::vector<StepInfo> infos;
  std::vector<Folded> folded;  // by edge; the entry edge's is `entry_folded`
  Folded entry_folded;
  Step trap;     // what a leaf that forwards comes to: it ends the process
  Edge no_edge;  // leads there
  std::vector<std::unique_ptr<LookupTable>> lookups;
  std::vector<std::unique_ptr<HopState>> hops;
  std::vector<std::unique_ptr<Worker>> own_workers;  // queued dispatch
  std::vector<WorkerSlot> workers;                   // slot i + 1 is workers[i]

  Program();
  ~Program();
  Program(const Program&) = delete;
  Program& operator=(const Program&) = delete;

  // The pad of `step` in a bio's frame.
  static std::byte* pad_of(Bio& bio, const Step& step) { return bio.frame() + step.pad; }
};

// A step with a completion keeps the offset that came in just before its pad.
// kPassed there says that the class did not see the request, so it will not see its completion.
inline constexpr std::uint32_t kSavedOffsetBytes = 8;
inline constexpr std::uint64_t kPassed = ~std::uint64_t{0};
inline std::uint64_t& saved_offset(Bio& bio, const Step& step) {
  return *reinterpret_cast<std::uint64_t*>(Program::pad_of(bio, step) - kSavedOffsetBytes);
}

}  // namespace ashlar
