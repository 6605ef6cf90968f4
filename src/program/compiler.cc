// Invariants: (1) steps are emitted in preorder, so every edge leads to a later step; (2) a step's
// pad lies behind the pads of all steps above it on its path; pads of different branches share
// room; (3) `slot` changes along an edge only through a hop.
#include "program/compiler.h"

#include <algorithm>
#include <atomic>
#include <map>

#include "program/carve.h"
#include "program/fold.h"
#include "program/hop.h"
#include "program/mapping.h"
#include "program/worker.h"

namespace ashlar {
namespace {

// The worker of a detached geom, kept with the geom for all programs.
struct WorkerRuntime final : GeomRuntime {
  WorkerRuntime(const Clock& clock, WorkerDriver* driver) : worker(clock, driver) {}
  void forget(const void* body) override { worker.forget(body); }
  Worker worker;
};

// The context that a path is in while it is being compiled.
struct Region {
  std::uint16_t slot = 0;
  Worker* worker = nullptr;
  std::int32_t entry = kNoStep;  // the hop that entered it
  bool splits = false;           // children of a step on the way so far come back to it
};

// An edge that still needs a target.
struct Pending {
  std::int32_t parent;  // the step that the edge leaves; kNoStep: the entry edge
  std::uint32_t edge;   // index in edges; unused for the entry edge
  Provider* provider;   // what it leads to; null: a lost consumer
  std::int32_t up;
  std::uint32_t pad_base;
  Region region;
  std::uint32_t depth;  // boundaries crossed; queued dispatch alternates by it
  bool mapped;          // payloads are mapped by then
};

// Fails everything: the place of a consumer that is lost.
Verdict fail_gone(void*, Bio& bio, void*, Context&) noexcept {
  bio.fail(Errc::gone);
  return Verdict::done();
}

// A verdict forward(k) is trusted to name a consumer, where a step has one; a leaf has none.
Verdict trapped(void*, Bio&, void*, Context&) noexcept {
  ASHLAR_ASSERT(false && "a leaf does not forward");
  return Verdict::done();
}

// No request with a length passes the edge's check; a flush comes to the trap.
void make_trap(Program& program) {
  program.trap.on_request = &trapped;
  program.no_edge.align_mask = ~std::uint32_t{0};
  program.no_edge.step = &program.trap;
}

// A refused operation never arrives: it is cut out of every device's `ops` above.
StepAction action_of(OpPolicy policy, std::uint32_t max_children, std::uint32_t edge_count) {
  if (policy == OpPolicy::pass) return StepAction::pass;
  if (policy == OpPolicy::broadcast) {
    return edge_count > 1 ? StepAction::broadcast : StepAction::pass;
  }
  return max_children > 0 ? StepAction::call_reserved : StepAction::call;
}

std::uint32_t block_mask(const Provider& provider) { return provider.limits.block_bytes - 1; }

class Compiler {
 public:
  Compiler(Provider& top, const CompileOptions& options)
      : top_(top),
        queued_(options.dispatch == Dispatch::queued),
        unmapped_(options.unmapped),
        clock_(options.clock != nullptr ? *options.clock : system_clock()),
        workers_(options.workers),
        program_(std::make_unique<Program>()) {}

  Result<std::unique_ptr<Program>> run() {
    begin();
    while (!pending_.empty()) {
      const Pending next = pending_.back();
      pending_.pop_back();
      if (auto placed = place(next); !placed) return placed.error();
      if (program_->steps.size() > kMaxSteps) {
        return make_error(Errc::invalid, "{}: the stack compiles to more than {} steps", top_.name,
                          kMaxSteps);
      }
    }
    finish();
    return std::move(program_);
  }

 private:
  void begin();
  void finish();
  Result<void> place(const Pending& next);
  void place_lost(const Pending& next);
  Result<void> place_map(const Pending& next);
  void place_geom(const Pending& next);
  Pending place_hop(const Pending& next, const Region& into, std::string reason);
  bool ends_here(const Pending& next, const Region& wanted) const;
  Pending place_return(const Pending& next, std::string reason);
  Pending in_region(const Pending& next, Placement placement);
  Pending place_mapping(const Pending& next);
  std::uint16_t slot_of(Worker& worker, const std::string& reason);

  std::int32_t emit(const Pending& next, StepKind kind, const StepCode& code,
                    const OpPolicies& policies, std::uint32_t edge_count);
  std::uint32_t base_below(std::int32_t step) const;
  Region region_below(const Pending& next, std::int32_t step) const;
  void connect(const Pending& next, std::int32_t target);
  Edge& edge_of(const Pending& next);
  Folded& folded_of(const Pending& next);

  Provider& top_;
  const bool queued_;
  const bool unmapped_;
  const Clock& clock_;
  WorkerDriver* const workers_;
  std::unique_ptr<Program> program_;
  std::vector<Pending> pending_;
  std::map<Worker*, std::uint16_t> slots_;
  std::map<std::int32_t, Region> outer_;  // by hop: the region that it leaves
};

void Compiler::begin() {
  Program& program = *program_;
  program.top = &top_;
  program.maps_payloads = unmapped_;
  program.dispatch = queued_ ? Dispatch::queued : Dispatch::direct;
  program.ops = top_.limits.ops;
  program.max_request_bytes = std::min(top_.limits.max_request_bytes, kMaxRequestBytes);
  program.max_range_bytes = std::min(top_.limits.max_range_bytes, kMaxRangeBytes);
  program.frame_bytes = sizeof(Fault);
  // Step 0 carves requests that are too long; what the rest of the stack takes is known only at the
  // end, so the step is always there, and carve_entry leads to it only where it is needed.
  const Pending entry{kNoStep, 0, &top_, kNoStep, sizeof(Fault), {}, 0, !unmapped_};
  emit(entry, StepKind::carve, carve_code(program), OpPolicies::handle_all(), 1);
  program.entry.size_bytes = top_.size_bytes;
  program.entry.align_mask = block_mask(top_);
  pending_.push_back(entry);
  if (!queued_) return;
  for (const char* name : {"queued dispatch, even", "queued dispatch, odd"}) {
    program.own_workers.push_back(std::make_unique<Worker>(clock_, workers_));
    slot_of(*program.own_workers.back(), name);
  }
}

void Compiler::finish() {
  Program& program = *program_;
  program.carve_entry = program.entry;
  program.carve_entry.add_bytes = 0;
  program.carve_entry.target = 0;
  program.edges[program.infos[0].first_edge] = program.entry;
  // Now that the arrays have their final place, pointers shorten the way.
  const auto link = [&](Edge& edge) {
    edge.step = &program.steps[static_cast<std::size_t>(edge.target)];
  };
  for (Edge& edge : program.edges) link(edge);
  make_trap(program);
  for (std::size_t i = 0; i < program.steps.size(); ++i) {
    Step& step = program.steps[i];
    const StepInfo& info = program.infos[i];
    step.edges = step.edge_count > 0 ? &program.edges[info.first_edge] : &program.no_edge;
    step.up = info.up != kNoStep ? &program.steps[static_cast<std::size_t>(info.up)] : nullptr;
  }
  link(program.entry);
  link(program.carve_entry);
  program.frame_bytes = static_cast<std::uint32_t>(align_up(program.frame_bytes, 8));
}

Edge& Compiler::edge_of(const Pending& next) {
  return next.parent == kNoStep ? program_->entry : program_->edges[next.edge];
}

Folded& Compiler::folded_of(const Pending& next) {
  return next.parent == kNoStep ? program_->entry_folded : program_->folded[next.edge];
}

void Compiler::connect(const Pending& next, std::int32_t target) {
  edge_of(next).target = target;
  StepInfo& info = program_->infos[static_cast<std::size_t>(target)];
  info.parent = next.parent;
  info.parent_edge = next.edge;
}

std::int32_t Compiler::emit(const Pending& next, StepKind kind, const StepCode& code,
                            const OpPolicies& policies, std::uint32_t edge_count) {
  Program& program = *program_;
  const auto index = static_cast<std::int32_t>(program.steps.size());
  Step step;
  step.on_request = code.on_request;
  const bool reserves = code.on_complete != nullptr && code.max_children > 0;
  step.on_complete = reserves ? &Context::complete_with_children : code.on_complete;
  step.body = code.body;
  step.pad = next.pad_base + (code.on_complete != nullptr ? kSavedOffsetBytes : 0);
  step.index = index;
  step.edge_count = static_cast<std::uint16_t>(edge_count);
  step.slot = next.region.slot;
  std::uint32_t children = code.max_children;
  for (std::size_t i = 0; i < kOpCount; ++i) {
    const OpPolicy policy = policies.of(static_cast<Op>(i));
    step.action[i] = action_of(policy, code.max_children, edge_count);
    if (step.action[i] == StepAction::broadcast) children = std::max(children, edge_count);
  }
  step.max_children = static_cast<std::uint16_t>(children);
  program.steps.push_back(step);
  StepInfo info;
  info.kind = kind;
  info.on_complete = code.on_complete;
  info.first_edge = static_cast<std::uint32_t>(program.edges.size());
  info.up = next.up;
  info.on_child = code.on_child;
  info.on_cancel = code.on_cancel;
  info.make_local = code.make_local;
  info.file_range = code.file_range;
  info.builds_parts = code.builds_parts;
  info.provider = next.provider;
  info.pad_bytes = code.pad_bytes + (code.on_complete != nullptr ? kSavedOffsetBytes : 0);
  program.infos.push_back(std::move(info));
  program.edges.resize(program.edges.size() + edge_count);
  program.folded.resize(program.edges.size());
  program.frame_bytes = std::max(program.frame_bytes, base_below(index));
  return index;
}

std::uint32_t Compiler::base_below(std::int32_t step) const {
  const auto index = static_cast<std::size_t>(step);
  const Step& code = program_->steps[index];
  const std::uint32_t saved = code.on_complete != nullptr ? kSavedOffsetBytes : 0;
  return static_cast<std::uint32_t>(
      align_up(code.pad - saved + program_->infos[index].pad_bytes, 8));
}

Region Compiler::region_below(const Pending& next, std::int32_t step) const {
  Region region = next.region;
  if (program_->steps[static_cast<std::size_t>(step)].max_children > 0) region.splits = true;
  return region;
}

std::uint16_t Compiler::slot_of(Worker& worker, const std::string& reason) {
  const auto [place, fresh] =
      slots_.try_emplace(&worker, static_cast<std::uint16_t>(program_->workers.size() + 1));
  if (fresh) program_->workers.push_back({&worker, reason});
  return place->second;
}

Pending Compiler::place_hop(const Pending& next, const Region& into, std::string reason) {
  auto state = std::make_unique<HopState>();
  state->from = {next.region.worker, next.region.slot, next.region.entry};
  state->to = {into.worker, into.slot, kNoStep};
  state->index = static_cast<std::uint32_t>(program_->hops.size());
  // The hop's own code runs above it, in the region that it leaves.
  const std::int32_t hop = emit(next, StepKind::hop, hop_code(*state), OpPolicies::handle_all(), 1);
  connect(next, hop);
  state->to.region = hop;
  program_->hops.push_back(std::move(state));
  program_->infos[static_cast<std::size_t>(hop)].note = std::move(reason);
  outer_.emplace(hop, next.region);
  Pending behind = next;
  behind.parent = hop;
  behind.edge = program_->infos[static_cast<std::size_t>(hop)].first_edge;
  behind.up = hop;
  behind.pad_base = base_below(hop);
  behind.region = into;
  behind.region.entry = hop;
  Edge& edge = edge_of(behind);
  edge.size_bytes = ~std::uint64_t{0};  // the edge above has checked
  return behind;
}

// A region in which nobody waits for completions need not see the bio again: a hop that leads back
// to where the region was entered from is the last that it has of it.
bool Compiler::ends_here(const Pending& next, const Region& wanted) const {
  const std::int32_t entry = next.region.entry;
  if (queued_ || entry == kNoStep || next.region.splits || next.up != entry) return false;
  return outer_.at(entry).slot == wanted.slot;
}

Pending Compiler::place_return(const Pending& next, std::string reason) {
  const std::int32_t entry = next.region.entry;
  const Region& back = outer_.at(entry);
  auto state = std::make_unique<HopState>();
  state->from = {next.region.worker, next.region.slot, entry};
  state->to = {back.worker, back.slot, back.entry};
  state->index = static_cast<std::uint32_t>(program_->hops.size());
  StepCode code = hop_code(*state);
  code.on_complete = nullptr;
  code.pad_bytes = 0;
  const std::int32_t hop = emit(next, StepKind::hop, code, OpPolicies::handle_all(), 1);
  connect(next, hop);
  program_->hops.push_back(std::move(state));
  StepInfo& info = program_->infos[static_cast<std::size_t>(hop)];
  info.note = std::move(reason) + ", and not back again";
  const std::int32_t up = program_->infos[static_cast<std::size_t>(entry)].up;
  info.up = up;
  Pending behind = next;
  behind.parent = hop;
  behind.edge = info.first_edge;
  behind.up = up;
  behind.pad_base = base_below(hop);
  behind.region = back;
  edge_of(behind).size_bytes = ~std::uint64_t{0};  // the edge above has checked
  return behind;
}

// Moves the path into the context that a step with `placement` wants.
Pending Compiler::in_region(const Pending& next, Placement placement) {
  Region wanted;
  std::string reason = "back to the caller's lane";
  if (placement == Placement::detached) {
    Geom& geom = *next.provider->geom;
    if (geom.runtime == nullptr) geom.runtime = std::make_unique<WorkerRuntime>(clock_, workers_);
    wanted.worker = &static_cast<WorkerRuntime&>(*geom.runtime).worker;
    reason = fmt::format("{} '{}' is detached", geom.facts().name, geom.name());
    wanted.slot = slot_of(*wanted.worker, reason);
  } else if (queued_ && placement == Placement::anywhere) {
    wanted.worker = program_->own_workers[next.depth % 2].get();
    wanted.slot = static_cast<std::uint16_t>(1 + next.depth % 2);
    reason = "queued dispatch";
  }
  if (wanted.slot == next.region.slot) return next;
  if (ends_here(next, wanted)) return place_return(next, std::move(reason));
  return place_hop(next, wanted, std::move(reason));
}

Pending Compiler::place_mapping(const Pending& next) {
  const std::int32_t step =
      emit(next, StepKind::mapping, mapping_code(), OpPolicies::handle_all(), 1);
  connect(next, step);
  StepInfo& info = program_->infos[static_cast<std::size_t>(step)];
  info.note = fmt::format("{} needs the bytes", next.provider->geom->facts().name);
  Pending behind = next;
  behind.parent = step;
  behind.edge = info.first_edge;
  behind.mapped = true;
  edge_of(behind).size_bytes = ~std::uint64_t{0};  // the edge above has checked
  return behind;
}

Result<void> Compiler::place(const Pending& next) {
  Edge& edge = edge_of(next);
  const bool behind_hop = edge.size_bytes == ~std::uint64_t{0};
  if (next.provider != nullptr && !behind_hop) {
    edge.size_bytes = next.provider->size_bytes;
    edge.align_mask = block_mask(*next.provider);
  }
  if (next.provider == nullptr) {
    edge.size_bytes = ~std::uint64_t{0};  // whatever comes, it fails there
    place_lost(next);
    return {};
  }
  if (next.provider->is_map()) return place_map(next);
  place_geom(next);
  return {};
}

void Compiler::place_lost(const Pending& next) {
  StepCode code;
  code.on_request = &fail_gone;
  connect(next, emit(next, StepKind::lost, code, OpPolicies::handle_all(), 0));
}

Result<void> Compiler::place_map(const Pending& next) {
  FoldResult folding;
  if (queued_) {
    // Not folded: one map a step, so that the queue between layers is really there.
    for (const MapExtent& each : next.provider->map) {
      Provider* below = next.provider->geom->consumers()[each.consumer]->provider;
      folding.extents.push_back({each.start, each.length, below, each.offset});
    }
  } else {
    auto folded = fold(*next.provider);
    if (!folded) return folded.error();
    folding = std::move(*folded);
    folded_of(next).maps = folding.maps;
    if (folding.extents.size() == 1) {
      Pending below = next;
      below.provider = folding.extents.front().provider;
      Edge& edge = edge_of(next);
      edge.add_bytes = folding.extents.front().offset;
      if (below.provider == nullptr) {
        place_lost(below);
      } else {
        place_geom(below);
      }
      return {};
    }
  }
  // One edge for each device below, and a table that leads to them.
  std::vector<Provider*> targets;
  std::map<Provider*, std::uint32_t> edge_by_target;
  std::vector<LookupExtent> table;
  for (const FoldedExtent& each : folding.extents) {
    const auto [place, fresh] =
        edge_by_target.try_emplace(each.provider, static_cast<std::uint32_t>(targets.size()));
    if (fresh) targets.push_back(each.provider);
    table.push_back({each.start, each.length, place->second, each.offset});
  }
  if (targets.size() > kMaxConsumers) {
    return make_error(Errc::invalid, "{}: the folded map leads to {} devices, the limit is {}",
                      next.provider->name, targets.size(), kMaxConsumers);
  }
  program_->lookups.push_back(std::make_unique<LookupTable>(std::move(table)));
  LookupTable& lookup = *program_->lookups.back();
  const std::uint64_t longest = lookup.longest_request(next.provider->limits.block_bytes);
  program_->max_request_bytes = std::min(program_->max_request_bytes, longest);
  program_->max_range_bytes = std::min(program_->max_range_bytes, longest);
  StepCode code;
  code.body = &lookup;
  code.on_request = &LookupTable::on_request;
  code.max_children =
      static_cast<std::uint16_t>(std::min<std::size_t>(lookup.extents().size(), kMaxPieces));
  OpPolicies policies = OpPolicies::handle_all();
  policies.flush = OpPolicy::broadcast;
  const Pending here = in_region(next, Placement::anywhere);
  const std::int32_t step =
      emit(here, StepKind::lookup, code, policies, static_cast<std::uint32_t>(targets.size()));
  connect(here, step);
  const Region inner = region_below(here, step);
  for (std::size_t i = targets.size(); i > 0; --i) {
    const std::uint32_t edge = program_->infos[static_cast<std::size_t>(step)].first_edge +
                               static_cast<std::uint32_t>(i - 1);
    pending_.push_back({step, edge, targets[i - 1], here.up, base_below(step), inner,
                        here.depth + 1, here.mapped});
  }
  return {};
}

void Compiler::place_geom(const Pending& next) {
  Geom& geom = *next.provider->geom;
  if (geom.body().step(next.provider->index).on_request == nullptr) {
    place_lost(next);  // a map of which a shrunken device has left nothing
    return;
  }
  Pending here = in_region(next, geom.facts().placement);
  if (!here.mapped && geom.facts().payload == PayloadUse::bytes) here = place_mapping(here);
  const StepCode code = geom.body().step(next.provider->index);
  ASHLAR_ASSERT(code.on_request != nullptr);
  const auto& consumers = geom.consumers();
  const std::int32_t step = emit(here, StepKind::geom, code, geom.facts().policies,
                                 static_cast<std::uint32_t>(consumers.size()));
  connect(here, step);
  const std::int32_t up = code.on_complete != nullptr ? step : here.up;
  const Region inner = region_below(here, step);
  for (std::size_t i = consumers.size(); i > 0; --i) {
    const std::uint32_t edge = program_->infos[static_cast<std::size_t>(step)].first_edge +
                               static_cast<std::uint32_t>(i - 1);
    pending_.push_back({step, edge, consumers[i - 1]->provider, up, base_below(step), inner,
                        here.depth + 1, here.mapped});
  }
}

}  // namespace

namespace {

// 0 is left out when the numbers come round.
std::uint32_t next_number() {
  static std::atomic<std::uint32_t> last{0};
  const std::uint32_t number = last.fetch_add(1, std::memory_order_relaxed) + 1;
  return number != 0 ? number : next_number();
}

}  // namespace

Program::Program() : number(next_number()) {}
Program::~Program() = default;

Result<std::unique_ptr<Program>> compile(Provider& top, const CompileOptions& options) {
  if (top.orphaned != Errc::ok) {
    return make_error(Errc::gone, "{}: the device is gone", top.name);
  }
  return Compiler(top, options).run();
}

}  // namespace ashlar
