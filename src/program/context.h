// A context runs steps: a lane (the caller's thread) or a worker (a detached geom's thread). It has
// a run list, timers, and an inbox through which other contexts hand bios over.
//
// The executor is a loop. It takes a bio, runs it down until a step keeps it or answers, and up
// until it ends; what that sets free (children, requests submitted from end_io) waits in the run
// list. Nothing recurses: a stack of 10,000 layers needs no more machine stack than one of 1.
//
// THREAD: everything but what says otherwise is called on the context's own thread.
#pragma once

#include <atomic>
#include <cstdint>
#include <vector>

#include "bio/bio.h"
#include "program/generation.h"
#include "program/local_table.h"
#include "program/mailbox.h"
#include "topology/step.h"

namespace ashlar {

class Engine;
class Lane;
class Worker;

// Lies in the pad of the hop that a bio came through.
struct CustodyRecord {
  ListLink link;
  Bio* bio;
};

// Nanoseconds since some start; injected, so that a simulation can own time.
class Clock {
 public:
  virtual ~Clock() = default;
  virtual std::uint64_t now_ns() const noexcept = 0;
};

// CLOCK_MONOTONIC.
const Clock& system_clock();

// A wish to be called later; lies in its owner's memory (usually a pad).
struct Timer {
  std::uint64_t deadline_ns = 0;
  void (*expired)(Timer& timer, Context& cx) noexcept = nullptr;
  void* user = nullptr;
  std::uint32_t heap_index = 0;
  bool armed = false;
};

class Context {
 public:
  // Bios that one call of run() takes from the run list, so that a caller who submits from every
  // completion cannot keep the context from its inbox and its descriptors.
  static constexpr unsigned kRunBudget = 256;

  explicit Context(const Clock& clock) : clock_(clock) {}
  Context(const Context&) = delete;
  Context& operator=(const Context&) = delete;
  virtual ~Context();

  // --- for classes
  // -------------------------------------------------------------------------------- A step that
  // answered held() lets its bio go on, with the verdict it would have answered. Exactly once; from
  // inside on_request too. Never split().
  void resume(Bio& bio, Verdict verdict) noexcept;

  // A step that answered held() is asked once more: on_complete is called (again), and may split
  // there, which resume() cannot.
  void ask_again(Bio& bio) noexcept;

  // A step that answered held() gets its bio once more, as if it had only now come. From elsewhere
  // than on_request; in place of resume().
  void again(Bio& bio) noexcept;

  // The engine of the lane. REQUIRES: the step's class has Placement::lane.
  Engine& engine() noexcept {
    ASHLAR_ASSERT(engine_ != nullptr);
    return *engine_;
  }

  std::uint64_t now_ns() const noexcept { return clock_.now_ns(); }
  void arm(Timer& timer, std::uint64_t deadline_ns) noexcept;
  void disarm(Timer& timer) noexcept;

  // --- for the program layer
  // ---------------------------------------------------------------------- Runs `bio` as its
  // direction says: at once, or behind the bio that is being run.
  void start(Bio& bio) noexcept;

  // The same for a bio that is about to go down `step`, where its pc is.
  void start_down(Bio& bio, const Step& step) noexcept;

  // `bio`, with its direction and slot set, goes to another context at the next flush_mail().
  void mail(Mailbox& box, Bio& bio) noexcept {
    box.outgoing.push_back(bio);
    ++box.waiting;
    if (!box.sender_link.linked()) outboxes_.push_back(box);
  }

  // Takes a batch from `box`, whose receiver this is. `box` may be gone when this returns, unless
  // bios are left in `outgoing`. THREAD: the sender's.
  virtual void deliver(Mailbox& box) noexcept = 0;

  // The receiver of `box` has taken what was in it. THREAD: the receiver's.
  virtual void room_in(Mailbox& box) noexcept = 0;

  // `box`, whose sender this is, is about to end. THREAD: any.
  virtual void drop(Mailbox& box) noexcept = 0;

  // What the bodies keep in this context; classes use local_of() (program/local.h).
  LocalTable& locals() noexcept { return locals_; }

  // Has attend() of every state in this context called, soon. THREAD: any.
  virtual void request_attention() = 0;

  // Has scan_for_cancelled() called, soon. THREAD: any.
  virtual void request_cancel_scan() noexcept = 0;

  // The bios that came through a hop into a region of this context and have not left it.
  List<CustodyRecord, &CustodyRecord::link> custody;

  // For the compiler: on_complete of steps that split.
  static Verdict complete_with_children(void* body, Bio& bio, void* pad, Context& cx) noexcept;

  // Runs up to kRunBudget bios; returns how many.
  unsigned run() noexcept;
  // Bios that wait to run, or to be handed to other contexts.
  bool has_work() const noexcept {
    return !const_cast<RunList&>(run_list_).empty() || !const_cast<Outboxes&>(outboxes_).empty();
  }

  // Asks for the end of everything in the tree of `bio` that this context (slot `slot` of its
  // program) has; what other contexts have is flagged, and true returned where that is news to
  // them.
  bool cancel_tree(Bio& bio, std::uint16_t slot) noexcept;

 protected:
  using RunList = List<Bio, &Bio::queue>;
  using Outboxes = List<Mailbox, &Mailbox::sender_link>;

  // The mailboxes of a context that other contexts touch; guarded by its lock.
  struct Mail {
    List<Mailbox, &Mailbox::receiver_link> arrived;  // with bios in them
    List<Mailbox, &Mailbox::room_link> room;         // of which this context is the sender

    bool empty() noexcept { return arrived.empty() && room.empty(); }
    // deliver() under the lock; true where the receiver may sleep and must be woken.
    bool put(Mailbox& box) noexcept;
  };
  struct Arrived {
    RunList bios;
    List<Mailbox, &Mailbox::notice_link> waited_for;  // whose senders have more
  };
  // Takes all there is, a bio from each mailbox in turn. Under the lock.
  void take(Mail& mail, Arrived& into) noexcept;
  // And lets it go on, through its hop. Without.
  void receive(Arrived& arrived) noexcept;

  // Hands over what has gathered for other contexts.
  void flush_mail() noexcept;
  // Ends what was flagged for cancellation elsewhere and is in custody here.
  void scan_for_cancelled() noexcept;
  // Calls expired timers; returns how many.
  unsigned run_timers() noexcept;
  // Nanoseconds until the first timer, or -1 when none is armed.
  std::int64_t until_timer_ns() const noexcept;

  void set_engine(Engine* engine) noexcept { engine_ = engine; }
  const Clock& clock() const noexcept { return clock_; }

 private:
  friend class Split;

  void enqueue(Bio& bio, BioDirection direction) noexcept;
  void execute(Bio& bio) noexcept;
  enum class Move : std::uint8_t { down, up, complete, stop };
  template <bool kCounts>
  void go(Bio& bio, const Step* step, Move move) noexcept;
  template <bool kCounts>
  void execute_as(Bio& bio) noexcept;
  Move go_down(Bio& bio, const Step*& step) noexcept;
  Move go_down_aside(Bio& bio, const Step* step, StepAction action) noexcept;
  Move go_up(Bio& bio, const Step*& step) noexcept;
  Move go_complete(Bio& bio, const Step*& step) noexcept;
  Move turn(Verdict verdict, Errc before, Bio& bio, const Step*& step) noexcept;
  Move follow(Verdict verdict, Bio& bio, const Step*& step) noexcept;
  void start_children(Bio& parent) noexcept;
  Verdict by_action(StepAction action, Bio& bio, const Step& step) noexcept;
  bool reserve_children(const Step& step, Bio& bio, BioDirection direction) noexcept;
  void keep_reserve(Verdict verdict, Bio& bio, const Step& step) noexcept;
  void release_reserve(Generation& home, const Step& step, Bio& parent) noexcept;
  void join(Bio& child) noexcept;
  void finish_root(Bio& bio) noexcept;
  bool cancel_one(Bio& bio, std::uint16_t slot, bool& elsewhere) noexcept;
  void sift_up(std::uint32_t index) noexcept;
  void sift_down(std::uint32_t index) noexcept;
  void swap_timers(std::uint32_t a, std::uint32_t b) noexcept;

  const Clock& clock_;
  Engine* engine_ = nullptr;
  bool running_ = false;
  RunList run_list_;
  Outboxes outboxes_;
  LocalTable locals_;
  std::vector<Timer*> timers_;  // a binary heap by deadline
};

}  // namespace ashlar
