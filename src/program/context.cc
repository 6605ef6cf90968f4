// What is not the executor: resuming, cancelling, the inbox, timers.
#include "program/context.h"

#include <time.h>

#include <algorithm>
#include <utility>

#include "program/fault.h"
#include "program/hop.h"
#include "program/lane.h"
#include "program/split.h"
#include "program/step_guard.h"
#include "program/worker.h"

namespace ashlar {
namespace {

class MonotonicClock final : public Clock {
 public:
  std::uint64_t now_ns() const noexcept override {
    timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return static_cast<std::uint64_t>(now.tv_sec) * 1'000'000'000u +
           static_cast<std::uint64_t>(now.tv_nsec);
  }
};

}  // namespace

const Clock& system_clock() {
  static const MonotonicClock clock;
  return clock;
}

Context::~Context() {
  ASHLAR_ASSERT(timers_.empty());
  ASHLAR_ASSERT(custody.empty());
  ASHLAR_ASSERT(!running_);
}

void Context::enqueue(Bio& bio, BioDirection direction) noexcept {
  bio.direction = direction;
  bio.state = BioState::queued;
  run_list_.push_back(bio);
}

void Context::start(Bio& bio) noexcept {
  if (running_) {
    enqueue(bio, bio.direction);
    return;
  }
  running_ = true;
  execute(bio);
  running_ = false;
  if (!run_list_.empty()) run();
}

unsigned Context::run() noexcept {
  ASHLAR_ASSERT(!running_);
  running_ = true;
  unsigned count = 0;
  while (count < kRunBudget) {
    Bio* bio = run_list_.pop_front();
    if (bio == nullptr) break;
    execute(*bio);
    ++count;
  }
  running_ = false;
  return count;
}

void Context::resume(Bio& bio, Verdict verdict) noexcept {
  ASHLAR_ASSERT(bio.state == BioState::held);
  ASHLAR_ASSERT(bio.outstanding == 0);
  const Step& step = bio.home->steps[bio.pc];
  switch (verdict.kind()) {
    case Verdict::Kind::done:
      ASHLAR_ASSERT(bio.error != Errc::ok || bio.done == bio.length);
      if (bio.error != Errc::ok) {
        fault_of(bio) = fault_at(bio);
      }
      enqueue(bio, BioDirection::up);
      return;
    case Verdict::Kind::forward:
      ASHLAR_ASSERT(verdict.consumer() < step.edge_count);
      cross(bio, step.edges[verdict.consumer()]);
      enqueue(bio, BioDirection::down);
      return;
    case Verdict::Kind::split:
    case Verdict::Kind::held:
      break;
  }
  ASHLAR_ASSERT(false && "resume takes done() or forward()");
}

void Context::ask_again(Bio& bio) noexcept {
  ASHLAR_ASSERT(bio.state == BioState::held);
  ASHLAR_ASSERT(bio.outstanding == 0);
  ASHLAR_ASSERT(bio.home->steps[bio.pc].on_complete != nullptr);
  enqueue(bio, BioDirection::complete);
}

void Context::again(Bio& bio) noexcept {
  ASHLAR_ASSERT(bio.state == BioState::held);
  ASHLAR_ASSERT(bio.outstanding == 0);
  enqueue(bio, BioDirection::down);
}

// --- cancelling
// -----------------------------------------------------------------------------------

// Flags `bio`, and ends it where this context has it in a list or a step that can let go of it.
// True where this context has it; `elsewhere` is set where another has, which was not told before.
bool Context::cancel_one(Bio& bio, std::uint16_t slot, bool& elsewhere) noexcept {
  const bool fresh = __atomic_exchange_n(&bio.cancel, std::uint8_t{1}, __ATOMIC_RELAXED) == 0;
  if (__atomic_load_n(&bio.slot, __ATOMIC_ACQUIRE) != slot) {
    elsewhere = elsewhere || fresh;
    return false;
  }
  const bool waits = bio.state == BioState::queued || bio.state == BioState::parked;
  const bool goes_down =
      bio.direction == BioDirection::down || bio.direction == BioDirection::leave_down;
  if (waits && goes_down) {
    bio.queue.unlink();
    bio.fail(Errc::cancelled);
    fault_of(bio) = fault_at(bio);
    // The hop that a bio has not left yet takes it back; a step that it has not reached does not.
    const bool at_hop = bio.direction == BioDirection::leave_down;
    enqueue(bio, at_hop ? back_from_hop(bio.home->steps[bio.pc]) : BioDirection::up);
    return true;
  }
  if (bio.state != BioState::held || bio.outstanding > 0) return true;
  const auto pc = static_cast<std::size_t>(bio.pc);
  const Step& step = bio.home->steps[pc];
  const CancelFn on_cancel = bio.home->program.infos[pc].on_cancel;
  if (on_cancel == nullptr) return true;
  [[maybe_unused]] const StepGuard guard("on_cancel", bio);
  on_cancel(step.body, bio, Program::pad_of(bio, step), *this);
  return true;
}

bool Context::cancel_tree(Bio& root, std::uint16_t slot) noexcept {
  bool elsewhere = false;
  Bio* bio = &root;
  while (bio != nullptr) {
    // Children of a bio that another context has are that context's to visit.
    const bool mine = cancel_one(*bio, slot, elsewhere);
    if (mine && bio->outstanding > 0 && !bio->shielded) {
      bio = bio->children;
      continue;
    }
    while (bio != &root && bio->sibling_next == nullptr) bio = bio->parent;
    bio = bio == &root ? nullptr : bio->sibling_next;
  }
  return elsewhere;
}

void Context::scan_for_cancelled() noexcept {
  for (CustodyRecord* record = custody.empty() ? nullptr : &custody.front(); record != nullptr;
       record = custody.next(*record)) {
    Bio& bio = *record->bio;
    if (!bio.cancel_requested()) continue;
    const std::uint16_t slot = __atomic_load_n(&bio.slot, __ATOMIC_RELAXED);
    if (!cancel_tree(bio, slot)) continue;
    Context& lane = bio.home->lane;
    if (&lane != this) lane.request_cancel_scan();
    for (const WorkerSlot& other : bio.home->program.workers) {
      if (other.worker != this) other.worker->request_cancel_scan();
    }
  }
}

// --- the inbox
// ------------------------------------------------------------------------------------

bool Context::Mail::put(Mailbox& box) noexcept {
  if (box.bounded && !box.arrived.empty()) {
    box.sender_waits = true;
    return false;
  }
  if (box.outgoing.empty()) return false;
  box.move_batch();
  box.sender_waits = !box.outgoing.empty();
  const bool was_empty = arrived.empty();
  if (!box.receiver_link.linked()) arrived.push_back(box);
  return was_empty;
}

void Context::take(Mail& mail, Arrived& into) noexcept {
  while (Mailbox* box = mail.arrived.pop_front()) {
    if (mail.arrived.empty()) {
      into.bios.splice_back(box->arrived);
    } else {
      into.bios.push_back(*box->arrived.pop_front());
    }
    if (!box->arrived.empty()) {
      mail.arrived.push_back(*box);
    } else if (std::exchange(box->sender_waits, false)) {
      into.waited_for.push_back(*box);
    }
  }
  // One whose bios have all ended meanwhile may end as soon as the lock is free.
  while (Mailbox* box = mail.room.pop_front()) {
    if (!box->outgoing.empty() && !box->sender_link.linked()) outboxes_.push_back(*box);
  }
}

// The senders are told before their bios run: until then nothing of theirs can end.
void Context::receive(Arrived& arrived) noexcept {
  while (Mailbox* box = arrived.waited_for.pop_front()) box->sender->room_in(*box);
  while (Bio* bio = arrived.bios.pop_front()) {
    BioDirection direction = bio->direction;
    arrive(*bio, *this, direction);
    enqueue(*bio, direction);
  }
}

void Context::flush_mail() noexcept {
  while (Mailbox* box = outboxes_.pop_front()) box->receiver->deliver(*box);
}

// --- timers: a binary heap whose elements know their place
// ----------------------------------------

void Context::arm(Timer& timer, std::uint64_t deadline_ns) noexcept {
  ASHLAR_ASSERT(!timer.armed);
  timer.deadline_ns = deadline_ns;
  timer.armed = true;
  timer.heap_index = static_cast<std::uint32_t>(timers_.size());
  timers_.push_back(&timer);
  sift_up(timer.heap_index);
}

void Context::disarm(Timer& timer) noexcept {
  ASHLAR_ASSERT(timer.armed && timers_[timer.heap_index] == &timer);
  timer.armed = false;
  const std::uint32_t hole = timer.heap_index;
  Timer* const last = timers_.back();
  timers_.pop_back();
  if (last == &timer) return;
  timers_[hole] = last;
  last->heap_index = hole;
  sift_up(hole);
  sift_down(last->heap_index);
}

void Context::sift_up(std::uint32_t index) noexcept {
  while (index > 0) {
    const std::uint32_t above = (index - 1) / 2;
    if (timers_[above]->deadline_ns <= timers_[index]->deadline_ns) return;
    swap_timers(above, index);
    index = above;
  }
}

void Context::sift_down(std::uint32_t index) noexcept {
  for (;;) {
    std::uint32_t least = index;
    for (std::uint32_t below = 2 * index + 1; below <= 2 * index + 2; ++below) {
      if (below < timers_.size() && timers_[below]->deadline_ns < timers_[least]->deadline_ns) {
        least = below;
      }
    }
    if (least == index) return;
    swap_timers(least, index);
    index = least;
  }
}

void Context::swap_timers(std::uint32_t a, std::uint32_t b) noexcept {
  std::swap(timers_[a], timers_[b]);
  timers_[a]->heap_index = a;
  timers_[b]->heap_index = b;
}

unsigned Context::run_timers() noexcept {
  if (timers_.empty()) return 0;
  unsigned count = 0;
  const std::uint64_t now = now_ns();
  while (!timers_.empty() && timers_.front()->deadline_ns <= now) {
    Timer& timer = *timers_.front();
    disarm(timer);
    [[maybe_unused]] const InlineScope scope({"expired", "(timer)"});
    timer.expired(timer, *this);
    ++count;
  }
  return count;
}

std::int64_t Context::until_timer_ns() const noexcept {
  if (timers_.empty()) return -1;
  const std::uint64_t now = now_ns();
  const std::uint64_t deadline = timers_.front()->deadline_ns;
  return deadline <= now ? 0 : static_cast<std::int64_t>(deadline - now);
}

}  // namespace ashlar
