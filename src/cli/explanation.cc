// Facts gathered from the program (steps, edges, pads) and from the graph (limits, operations).
#include "cli/explanation.h"

#include <algorithm>

#include "program/explain.h"

namespace ashlar::cli {
namespace {

// The deepest device on a way down along which everybody has what `top` has: the one that brought
// it in.
template <typename Has>
const Provider& origin(const Provider& top, Has has) {
  const Provider* at = &top;
  while (true) {
    const Provider* below = nullptr;
    for (const auto& consumer : at->geom->consumers()) {
      if (below == nullptr && consumer->provider != nullptr && has(*consumer->provider)) {
        below = consumer->provider;
      }
    }
    if (below == nullptr) return *at;
    at = below;
  }
}

std::string described(const Provider& provider) {
  return fmt::format("{} ({})", provider.name, provider.geom->facts().name);
}

// --- the program ---------------------------------------------------------------------------------

std::string kind_of(const StepInfo& info) {
  switch (info.kind) {
    case StepKind::geom:
      return std::string(info.provider->geom->facts().name);
    case StepKind::lookup:
      return "lookup";
    case StepKind::carve:
      return "carve";
    case StepKind::hop:
      return "hop";
    case StepKind::mapping:
      return "mapping";
    case StepKind::lost:
      return "lost";
  }
  return {};
}

EdgeFact edge_fact(const Edge& edge, const Folded& folded) {
  EdgeFact fact{edge.add_bytes, {}};
  for (const Provider* map : folded.maps) fact.maps.push_back(map->name);
  return fact;
}

// What lies behind edge k of a step: the device whose step the edge leads to.
std::string behind(const Program& program, const Step& step, std::uint32_t k) {
  const StepInfo& its = program.infos[static_cast<std::size_t>(step.index)];
  const std::int32_t target = program.edges[its.first_edge + k].target;
  const StepInfo& info = program.infos[static_cast<std::size_t>(target)];
  return info.provider != nullptr ? info.provider->name : "(gone)";
}

void add_extents(const Program& program, const Step& step, StepFact& fact) {
  const auto& extents = static_cast<const LookupTable*>(step.body)->extents();
  fact.extent_count = extents.size();
  for (std::size_t i = 0; i < std::min(extents.size(), Explanation::kMaxExtentsTold); ++i) {
    const LookupExtent& each = extents[i];
    fact.extents.push_back(
        {each.start, each.length, behind(program, step, each.edge), each.offset});
  }
}

StepFact step_fact(const Program& program, std::size_t index) {
  const Step& step = program.steps[index];
  const StepInfo& info = program.infos[index];
  StepFact fact;
  fact.index = static_cast<std::int32_t>(index);
  fact.parent = info.parent;
  fact.kind = kind_of(info);
  fact.device = info.provider != nullptr ? info.provider->name : "(gone)";
  fact.from = info.parent == kNoStep
                  ? edge_fact(program.entry, program.entry_folded)
                  : edge_fact(program.edges[info.parent_edge], program.folded[info.parent_edge]);
  fact.pad_bytes = info.pad_bytes;
  fact.pad_offset = step.pad - (step.on_complete != nullptr ? kSavedOffsetBytes : 0);
  fact.completes = step.on_complete != nullptr;
  fact.max_children = step.max_children;
  if (step.slot != 0) fact.context = program.workers[step.slot - std::size_t{1}].reason;
  fact.note = info.note;
  if (info.kind == StepKind::lookup) add_extents(program, step, fact);
  return fact;
}

// The pads of the path whose frame is longest, summed by class.
std::vector<FrameFact> frame_facts(const Program& program, const std::vector<StepFact>& steps) {
  std::vector<FrameFact> facts = {{"fault record", sizeof(Fault)}};
  const auto end_of = [](const StepFact& step) { return step.pad_offset + step.pad_bytes; };
  const auto deepest =
      std::max_element(steps.begin(), steps.end(),
                       [&](const StepFact& a, const StepFact& b) { return end_of(a) < end_of(b); });
  std::uint32_t told = sizeof(Fault);
  for (auto at = deepest == steps.end() ? kNoStep : deepest->index; at > 0;) {
    const StepFact& step = steps[static_cast<std::size_t>(at - 1)];  // step 0 is not told of
    at = step.parent;
    if (step.pad_bytes == 0) continue;
    told += step.pad_bytes;
    const auto known = std::find_if(facts.begin() + 1, facts.end(),
                                    [&](const FrameFact& each) { return each.what == step.kind; });
    if (known == facts.end()) {
      facts.insert(facts.begin() + 1, {step.kind, step.pad_bytes});
    } else {
      known->bytes += step.pad_bytes;
    }
  }
  // Step 0 cuts up what is too long. The parts have frames of their own, so its pad is not on top
  // of the others' but in their place.
  const std::uint32_t cutting = sizeof(Fault) + program.infos[0].pad_bytes;
  if (cutting > told) {
    facts.push_back({"room to cut up requests", cutting - told});
    told = cutting;
  }
  if (program.frame_bytes > told) facts.push_back({"alignment", program.frame_bytes - told});
  return facts;
}

// --- limits and operations -----------------------------------------------------------------------

template <typename Value>
LimitFact limit_fact(const char* name, const Provider& top, Value Limits::*limit) {
  const Value value = top.limits.*limit;
  LimitFact fact{name, value, {}};
  if (value == Limits{}.*limit) return fact;
  const auto same = [&](const Provider& each) { return each.limits.*limit == value; };
  fact.by = described(origin(top, same));
  return fact;
}

std::vector<LimitFact> limit_facts(const Program& program) {
  const Provider& top = *program.top;
  std::vector<LimitFact> facts = {
      limit_fact("block size", top, &Limits::block_bytes),
      limit_fact("memory alignment", top, &Limits::memory_alignment),
      limit_fact("largest request", top, &Limits::max_request_bytes),
      limit_fact("largest range", top, &Limits::max_range_bytes),
      limit_fact("discard granularity", top, &Limits::discard_granularity_bytes),
      limit_fact("preferred request", top, &Limits::preferred_bytes),
  };
  if (program.max_request_bytes < facts[2].bytes) {
    facts[2] = {facts[2].name, program.max_request_bytes, "maps of many short extents"};
  }
  if (program.max_range_bytes < facts[3].bytes) {
    facts[3] = {facts[3].name, program.max_range_bytes, "maps of many short extents"};
  }
  return facts;
}

// `offers`: whether a device has the operation.
template <typename Offers>
OperationFact operation_fact(std::string name, const Provider& top, bool changes, Offers offers) {
  OperationFact fact{std::move(name), offers(top), {}, {}};
  if (fact.offered) return fact;
  const Provider& culprit = origin(top, [&](const Provider& each) { return !offers(each); });
  fact.stops_at = culprit.name;
  fact.reason = changes && culprit.read_only
                    ? "it is read-only"
                    : fmt::format("{} does not offer it", culprit.geom->facts().name);
  return fact;
}

std::vector<OperationFact> operation_facts(const Provider& top) {
  std::vector<OperationFact> facts;
  for (const Op op : {Op::read, Op::write, Op::flush, Op::discard, Op::write_zeroes}) {
    facts.push_back(operation_fact(std::string(to_string(op)), top, changes_data(op),
                                   [op](const Provider& each) { return each.limits.ops.has(op); }));
  }
  facts.push_back(
      operation_fact("fua", top, true, [](const Provider& each) { return each.limits.ops.fua(); }));
  return facts;
}

// --- where a byte lies ---------------------------------------------------------------------------

std::vector<PlaceFact> place_facts(const Provider& top, std::uint64_t offset) {
  std::vector<PlaceFact> facts;
  std::vector<std::int32_t> path;  // the last place at each depth
  for (const ByteLocation& each : locate_byte(top, offset)) {
    const auto depth = static_cast<std::size_t>(each.depth);
    PlaceFact fact;
    fact.parent = depth > 0 ? path[depth - 1] : -1;
    fact.device = each.provider != nullptr ? each.provider->name : "(gone)";
    if (each.provider != nullptr) fact.kind = each.provider->geom->facts().name;
    fact.offset = each.offset;
    path.resize(depth);
    path.push_back(static_cast<std::int32_t>(facts.size()));
    facts.push_back(std::move(fact));
  }
  return facts;
}

}  // namespace

Explanation explain(const Device& device, std::optional<std::uint64_t> offset) {
  const Program& program = device.program();
  const Provider& top = device.provider();
  Explanation all;
  all.device = top.name;
  all.kind = top.geom->facts().name;
  all.size_bytes = top.size_bytes;
  all.block_bytes = top.limits.block_bytes;
  all.dispatch = program.dispatch == Dispatch::queued ? "queued" : "direct";
  all.carve_bytes = program.max_request_bytes;
  // Step 0 cuts what is longer than that; it is told of in that sentence.
  for (std::size_t i = 1; i < program.steps.size(); ++i) {
    all.steps.push_back(step_fact(program, i));
  }
  all.frame_bytes = program.frame_bytes;
  all.frame = frame_facts(program, all.steps);
  all.limits = limit_facts(program);
  all.operations = operation_facts(top);
  all.offset = offset;
  if (offset) all.places = place_facts(top, *offset);
  return all;
}

}  // namespace ashlar::cli
