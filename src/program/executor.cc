// The executor: how one bio runs down and up a program. See context.h for the contract.
//
// Invariants: (1) a bio in the run list is `queued`; one that runs or is kept by a step is `held`;
// (2) nobody touches a bio after it was posted to another context; (3) pools[slot].free is never
// below pools[slot].reserved.
#include "program/channel.h"
#include "program/context.h"
#include "program/fault.h"
#include "program/hop.h"
#include "program/split.h"
#include "program/step_guard.h"

namespace ashlar {
namespace {

void note_fault(Bio& bio) noexcept {
  fault_of(bio) = fault_at(bio);
  if (bio.home->counts != nullptr) bio.home->counts[bio.pc].of(bio.op).errors.add(1);
}

void count(const Bio& bio, const Step& step) noexcept {
  OpCount& mine = bio.home->counts[step.index].of(bio.op);
  mine.requests.add(1);
  mine.bytes.add(bio.length);
}

const Step* step_of(const Bio& bio) noexcept { return &bio.home->steps[bio.pc]; }

// The step above `bio` where the walk up goes on; null when the bio ends here.
const Step* above(const Bio& bio, const Step& step) noexcept {
  const Step* up = step.up;
  if (bio.parent == nullptr || up == nullptr) [[likely]]
    return up;
  return up->index <= bio.parent->pc ? nullptr : up;
}

// Whether the reserve that `bio`, which splits where it is, may use is in use.
bool& reserve_of(Generation& home, const Bio& bio) noexcept {
  const auto pc = static_cast<std::size_t>(bio.pc);
  return home.reserve_in_use[is_part(bio) ? home.program.steps.size() + pc : pc];
}

void pass_down(Bio& bio, const Edge& edge, const Step*& step) noexcept {
  cross(bio, edge);
  step = edge.step;
}

// The moves are one loop, cut into functions for the reader; the compiler is told to put them
// back together, so that the next move is a jump and not a variable.
#define ASHLAR_MOVE [[gnu::always_inline]] inline

ASHLAR_MOVE Verdict call_request(const Step& step, Bio& bio, Context& cx) noexcept {
  [[maybe_unused]] const StepGuard guard("on_request", bio);
  return step.on_request(step.body, bio, Program::pad_of(bio, step), cx);
}

ASHLAR_MOVE Verdict call_complete(const Step& step, Bio& bio, Context& cx) noexcept {
  [[maybe_unused]] const StepGuard guard("on_complete", bio);
  return step.on_complete(step.body, bio, Program::pad_of(bio, step), cx);
}

}  // namespace

// What is likely comes first: a step that passes the bio on, one that carries it out.
ASHLAR_MOVE Context::Move Context::follow(Verdict verdict, Bio& bio, const Step*& step) noexcept {
  if (verdict == Verdict::forward(0)) [[likely]] {
    pass_down(bio, step->edges[0], step);
    return Move::down;
  }
  if (verdict == Verdict::done()) [[likely]] {
    if (bio.error != Errc::ok) [[unlikely]]
      note_fault(bio);
    return Move::up;
  }
  if (verdict.kind() == Verdict::Kind::forward) {
    ASHLAR_ASSERT(verdict.consumer() < step->edge_count);
    pass_down(bio, step->edges[verdict.consumer()], step);
    return Move::down;
  }
  if (verdict.kind() == Verdict::Kind::split) start_children(bio);
  return Move::stop;
}

ASHLAR_MOVE Context::Move Context::go_down(Bio& bio, const Step*& step) noexcept {
  const StepAction action = step->action[static_cast<std::size_t>(bio.op)];
  if (action != StepAction::call) [[unlikely]] {
    const Move move = go_down_aside(bio, step, action);
    if (move != Move::stop) step = step_of(bio);
    return move;
  }
  if (step->on_complete != nullptr) saved_offset(bio, *step) = bio.offset;
  const Verdict verdict = call_request(*step, bio, *this);
  return follow(verdict, bio, step);
}

// The same for a step that may split, or that the operation passes by: out of line, and `step` by
// value, so that it stays in a register elsewhere.
Context::Move Context::go_down_aside(Bio& bio, const Step* step, StepAction action) noexcept {
  if (step->max_children != 0 && !reserve_children(*step, bio, BioDirection::down)) {
    return Move::stop;
  }
  const bool called = action == StepAction::call_reserved;
  if (step->on_complete != nullptr) saved_offset(bio, *step) = called ? bio.offset : kPassed;
  const Verdict verdict = called ? call_request(*step, bio, *this) : by_action(action, bio, *step);
  keep_reserve(verdict, bio, *step);
  return follow(verdict, bio, step);
}

ASHLAR_MOVE void Context::finish_root(Bio& bio) noexcept {
  Generation& home = *bio.home;
  ASHLAR_ASSERT(bio.outstanding == 0);
  ASHLAR_ASSERT(bio.error != Errc::ok || bio.done == bio.length);
  bio.state = BioState::idle;
  ++home.ended;
  if (home.sampled == &bio) [[unlikely]]
    home.end_sample();
  // A caller's own bio may come again when this generation is no more.
  if (bio.room != 0) bio.home = nullptr;
  witness_assert_none_held();
  bio.end_io(bio);
  witness_assert_none_held();
}

ASHLAR_MOVE Context::Move Context::go_up(Bio& bio, const Step*& step) noexcept {
  const Step* next = above(bio, *step);
  if (next != nullptr) {
    bio.pc = next->index;
    step = next;
    return Move::complete;
  }
  if (bio.parent != nullptr) {
    join(bio);
  } else {
    finish_root(bio);
  }
  return Move::stop;
}

ASHLAR_MOVE Context::Move Context::go_complete(Bio& bio, const Step*& step) noexcept {
  const std::uint64_t offset = saved_offset(bio, *step);
  if (offset == kPassed) [[unlikely]]
    return Move::up;
  bio.offset = offset;
  const Errc before = bio.error;
  const Verdict verdict = call_complete(*step, bio, *this);
  return turn(verdict, before, bio, step);
}

// on_complete of a step that may split there: children are set aside first.
Verdict Context::complete_with_children(void* body, Bio& bio, void* pad, Context& cx) noexcept {
  const Step& step = *step_of(bio);
  if (!cx.reserve_children(step, bio, BioDirection::complete)) return Verdict::held();
  const RequestFn own = bio.home->program.infos[static_cast<std::size_t>(bio.pc)].on_complete;
  const Verdict verdict = own(body, bio, pad, cx);
  cx.keep_reserve(verdict, bio, step);
  return verdict;
}

// After on_complete. A bio that a hop handed over is not touched: it may be gone.
ASHLAR_MOVE Context::Move Context::turn(Verdict verdict, Errc before, Bio& bio,
                                        const Step*& step) noexcept {
  if (verdict == Verdict::done()) [[likely]] {
    if (bio.error != before && bio.error != Errc::ok) [[unlikely]]
      note_fault(bio);
    return Move::up;
  }
  if (verdict.kind() == Verdict::Kind::held) return Move::stop;
  // Another trip down. A cancelled bio makes none.
  if (verdict.kind() == Verdict::Kind::forward && bio.cancel_requested()) {
    bio.fail(Errc::cancelled);
    note_fault(bio);
    return Move::up;
  }
  bio.error = Errc::ok;
  bio.done = 0;
  return follow(verdict, bio, step);
}

// The loop. `step` is where the bio is. With counters it is another function, so that without them
// no step pays.
template <bool kCounts>
ASHLAR_MOVE void Context::go(Bio& bio, const Step* step, Move move) noexcept {
  bio.state = BioState::held;
  for (;;) {
    switch (move) {
      case Move::down:
        if constexpr (kCounts) {
          if (!is_part(bio)) count(bio, *step);
        }
        move = go_down(bio, step);
        break;
      case Move::up:
        move = go_up(bio, step);
        break;
      case Move::complete:
        move = go_complete(bio, step);
        break;
      case Move::stop:
        return;
    }
  }
}

template <bool kCounts>
void Context::execute_as(Bio& bio) noexcept {
  const Step* step = step_of(bio);
  switch (bio.direction) {
    case BioDirection::down:
      return go<kCounts>(bio, step, Move::down);
    case BioDirection::up:
      return go<kCounts>(bio, step, Move::up);
    case BioDirection::complete:
      return go<kCounts>(bio, step, Move::complete);
    case BioDirection::leave_down:
      pass_down(bio, step->edges[0], step);
      return go<kCounts>(bio, step, Move::down);
  }
}

void Context::execute(Bio& bio) noexcept {
  if (bio.home->counts == nullptr) [[likely]] {
    execute_as<false>(bio);
  } else {
    execute_as<true>(bio);
  }
}

void Context::start_down(Bio& bio, const Step& step) noexcept {
  if (running_) {
    enqueue(bio, BioDirection::down);
    return;
  }
  running_ = true;
  if (bio.home->counts == nullptr) [[likely]] {
    go<false>(bio, &step, Move::down);
  } else {
    execute_as<true>(bio);
  }
  running_ = false;
  if (!run_list_.empty()) run();
}

void Context::start_children(Bio& parent) noexcept {
  ASHLAR_ASSERT(parent.outstanding > 0);
  const bool cancelled = parent.cancel_requested() && !parent.shielded;
  for (Bio* child = parent.children; child != nullptr; child = child->sibling_next) {
    if (!cancelled) {
      enqueue(*child, BioDirection::down);
      continue;
    }
    child->fail(Errc::cancelled);
    note_fault(*child);
    enqueue(*child, BioDirection::up);
  }
}

Verdict Context::by_action(StepAction action, Bio& bio, const Step& step) noexcept {
  if (action == StepAction::pass) return Verdict::forward(0);
  ASHLAR_ASSERT(action == StepAction::broadcast);
  Split split(*this, bio);
  for (std::uint32_t i = 0; i < step.edge_count; ++i) split.add(i, bio.offset, 0, bio.length, i);
  return split.verdict();
}

bool Context::reserve_children(const Step& step, Bio& bio, BioDirection direction) noexcept {
  Generation& home = *bio.home;
  ChildPool& children = home.pools[step.slot];
  const std::uint64_t need = step.max_children;
  if (children.pool.free_count() >= children.reserved + need) [[likely]]
    return true;
  if (children.pool.ensure_free(children.reserved + need)) return true;
  bool& in_use = reserve_of(home, bio);
  if (!in_use) {
    in_use = true;
    bio.uses_reserve = true;
    children.reserved -= need;
    return true;
  }
  bio.direction = direction;
  bio.state = BioState::parked;
  children.parked.push_back(bio);
  return false;
}

// A step that did not split after all has no use for the reserve. The bio is in this context still:
// only hops send it elsewhere, and they have no children.
void Context::keep_reserve(Verdict verdict, Bio& bio, const Step& step) noexcept {
  if (bio.uses_reserve && verdict.kind() != Verdict::Kind::split) {
    release_reserve(*bio.home, step, bio);
  }
}

void Context::release_reserve(Generation& home, const Step& step, Bio& parent) noexcept {
  ChildPool& children = home.pools[step.slot];
  if (parent.uses_reserve) {
    parent.uses_reserve = false;
    children.reserved += step.max_children;
    reserve_of(home, parent) = false;
  }
  // Children came free: whoever waited may try again, in order of arrival.
  while (Bio* waiting = children.parked.pop_front()) enqueue(*waiting, waiting->direction);
}

void Context::join(Bio& child) noexcept {
  ASHLAR_ASSERT(child.error != Errc::ok || child.done == child.length);
  Bio& parent = *child.parent;
  Generation& home = *child.home;
  const Step& step = home.steps[parent.pc];
  if (child.error != Errc::ok && parent.error == Errc::ok) {
    parent.error = child.error;
    fault_of(parent) = fault_of(child);
  }
  parent.done += child.done;
  const ChildFn on_child = home.program.infos[static_cast<std::size_t>(parent.pc)].on_child;
  if (on_child != nullptr) {
    [[maybe_unused]] const StepGuard guard("on_child", parent);
    on_child(step.body, parent, child, Program::pad_of(parent, step), *this);
  }
  Split::remove(parent, child);
  child.state = BioState::idle;
  home.pools[step.slot].pool.release(child);
  if (parent.outstanding > 0) return;
  release_reserve(home, step, parent);
  enqueue(parent, step.on_complete != nullptr ? BioDirection::complete : BioDirection::up);
}

// --- Split
// ----------------------------------------------------------------------------------------

Split::Split(Context&, Bio& parent) noexcept
    : parent_(parent), home_(*parent.home), step_(home_.steps[parent.pc]) {
  ASHLAR_ASSERT(parent.outstanding == 0);
}

Bio& Split::fresh(std::uint64_t tag) noexcept {
  ASHLAR_ASSERT(parent_.outstanding < step_.max_children);
  Bio* child = home_.pools[step_.slot].pool.allocate();
  ASHLAR_ASSERT(child != nullptr);
  child->error = Errc::ok;
  child->done = 0;
  child->home = &home_;
  child->outstanding = 0;
  child->slot = step_.slot;
  child->cancel = 0;
  child->uses_reserve = false;
  child->shielded = false;
  child->parent = &parent_;
  child->children = nullptr;
  child->tag = tag;
  child->state = BioState::held;
  append(parent_, *child);
  return *child;
}

Bio& Split::add(std::uint32_t consumer, std::uint64_t offset, std::uint64_t skip,
                std::uint64_t length, std::uint64_t tag) noexcept {
  ASHLAR_ASSERT(consumer < step_.edge_count);
  ASHLAR_ASSERT(within(skip, length, parent_.length));
  Bio& child = fresh(tag);
  child.op = parent_.op;
  child.flags = parent_.flags;
  child.offset = offset;
  child.length = length;
  child.payload = has_payload(parent_.op) ? parent_.payload.from(skip) : Payload{};
  cross(child, step_.edges[consumer]);
  return child;
}

Bio& Split::add_own(const OwnRequest& request) noexcept {
  ASHLAR_ASSERT(request.consumer < step_.edge_count);
  ASHLAR_ASSERT(!has_payload(request.op) || request.payload.holds(request.length));
  Bio& child = fresh(request.tag);
  child.op = request.op;
  child.flags = request.flags | (parent_.flags & kUnmapped);  // its payload may be the parent's
  child.offset = request.offset;
  child.length = request.length;
  child.payload = request.payload;
  cross(child, step_.edges[request.consumer]);
  return child;
}

Bio& Split::add_part(std::uint64_t skip, std::uint64_t length, std::uint64_t tag) noexcept {
  ASHLAR_ASSERT(home_.program.infos[static_cast<std::size_t>(parent_.pc)].builds_parts);
  ASHLAR_ASSERT(!is_part(parent_) && within(skip, length, parent_.length));
  Bio& child = fresh(tag);
  child.op = parent_.op;
  child.flags = parent_.flags;
  child.offset = parent_.offset + skip;
  child.length = length;
  child.payload = has_payload(parent_.op) ? parent_.payload.from(skip) : Payload{};
  child.pc = parent_.pc;
  return child;
}

Verdict Split::verdict() const noexcept {
  ASHLAR_ASSERT(parent_.outstanding > 0);
  return Verdict::split();
}

// The list's first element keeps the last one as its previous, so that appending needs no walk.
void Split::append(Bio& parent, Bio& child) noexcept {
  child.sibling_next = nullptr;
  if (parent.children == nullptr) {
    parent.children = &child;
    child.sibling_previous = &child;
  } else {
    Bio& last = *parent.children->sibling_previous;
    last.sibling_next = &child;
    child.sibling_previous = &last;
    parent.children->sibling_previous = &child;
  }
  ++parent.outstanding;
}

void Split::remove(Bio& parent, Bio& child) noexcept {
  Bio* const next = child.sibling_next;
  Bio* const previous = child.sibling_previous;
  if (parent.children == &child) {
    parent.children = next;
  } else {
    previous->sibling_next = next;
  }
  if (next != nullptr) {
    next->sibling_previous = previous;
  } else if (parent.children != nullptr) {
    parent.children->sibling_previous = previous;
  }
  child.sibling_next = child.sibling_previous = nullptr;
  ASHLAR_ASSERT(parent.outstanding > 0);
  --parent.outstanding;
}

}  // namespace ashlar
