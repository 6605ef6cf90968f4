// A lane: one thread's execution context. It owns an engine for file I/O, an inbox that other
// threads post to, and may watch descriptors, so that a server's whole life runs in one loop:
//
//   auto lane = Lane::create({}).value();
//   auto channel = Channel::open(*lane, program, /*writable=*/false).value();
//   channel->submit(*bio);
//   while (!finished) lane->wait(-1);        // sleeps in epoll; an idle lane uses no CPU
//
// What it has for the kernel and for workers is handed over in poll() and wait(), at the latest
// before the lane sleeps.
//
// THREAD: the thread that created it, but for what says otherwise.
#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <vector>

#include "base/mutex.h"
#include "base/result.h"
#include "base/wakes.h"
#include "program/context.h"
#include "program/engine.h"

namespace ashlar {

// Somebody who wants to know when a descriptor is ready.
class Watcher {
 public:
  virtual ~Watcher() = default;
  // `events` as of epoll: EPOLLIN, EPOLLOUT, EPOLLHUP, EPOLLERR.
  virtual void on_ready(std::uint32_t events) noexcept = 0;
};

struct LaneOptions {
  EngineOptions engine{};
  const Clock* clock = nullptr;  // null: system_clock()
};

class Lane final : public Context {
 public:
  static Result<std::unique_ptr<Lane>> create(const LaneOptions& options);
  // REQUIRES: no channel is open on it, no bio is in it.
  ~Lane() override;

  void deliver(Mailbox& box) noexcept override;
  void room_in(Mailbox& box) noexcept override;
  void drop(Mailbox& box) noexcept override;
  // Runs `task` on the lane's thread, in wait() or poll(). THREAD: any.
  void post_task(std::function<void()> task);
  void request_attention() override {
    post_task([this] { locals().attend(*this); });
  }
  void request_cancel_scan() noexcept override;
  // Makes a wait() in progress, or the next one, return. THREAD: any.
  void wake() noexcept;

  // Does what can be done without sleeping: inbox, engine, timers, run list. Returns how many
  // things happened.
  unsigned poll() noexcept;

  // Like poll(), but sleeps until something happens when there is nothing to do, `timeout_ms` at
  // the most (-1: no bound). Watchers are called from here. REQUIRES: the lane has an engine.
  unsigned wait(int timeout_ms) noexcept;

  // For a program with a loop of its own: a descriptor that is readable while wait(0) has something
  // to do, for poll, epoll or any event library. Level-triggered. Before each sleep call
  // prepare_to_sleep(), which hands what was submitted to the kernel and sees to timers and to what
  // is left in the run list:
  //
  //   lane.prepare_to_sleep();
  //   ::poll(descriptors, count, -1);           // lane.poll_fd() among them, for POLLIN
  //   lane.wait(0);
  //
  // The descriptor is the lane's: nothing is read from it. It may, rarely, be readable for nothing.
  int poll_fd() const noexcept { return epoll_fd_; }
  void prepare_to_sleep() noexcept;

  // Calls `watcher` from wait() when `fd` has one of `events` (level-triggered).
  // Errors: what epoll_ctl refuses.
  Result<void> watch(int fd, std::uint32_t events, Watcher& watcher);
  void rewatch(int fd, std::uint32_t events, Watcher& watcher) noexcept;
  void unwatch(int fd, Watcher& watcher) noexcept;

  // Ends what `root` is doing: every part of it, wherever it is. It still completes, once, with
  // `cancelled` unless it was too late. REQUIRES: submitted on this lane, not yet ended.
  void cancel(Bio& root) noexcept;

  // REQUIRES: the lane was not made with EngineChoice::none.
  Engine& its_engine() noexcept { return *engine_; }

  // Something came from another thread: poll() takes it. One load.
  bool has_mail() const noexcept { return inbox_full_.load(std::memory_order_acquire); }

  // For who drives a lane by poll(): true where it would do something now.
  bool wants_poll() const noexcept { return has_work() || has_mail() || until_timer_ns() == 0; }
  using Context::until_timer_ns;

 private:
  friend class Channel;
  Lane(const Clock& clock, std::unique_ptr<Engine> engine, int epoll_fd, int wake_fd, int timer_fd);

  unsigned collect() noexcept;
  void notice(MutexLock& lock) noexcept;
  unsigned take_inbox() noexcept;
  static void drain(int fd) noexcept;
  unsigned dispatch(std::int64_t timeout_ns) noexcept;
  std::int64_t sleep_bound_ns(int timeout_ms) const noexcept;

  std::unique_ptr<Engine> engine_;
  const int epoll_fd_;
  const int wake_fd_;
  const int timer_fd_;  // armed by prepare_to_sleep() alone
  bool timer_armed_ = false;
  std::uint32_t channels_ = 0;     // open on this lane
  std::vector<Watcher*> removed_;  // unwatched while their events are being handed out
  bool dispatching_ = false;

  std::atomic<bool> inbox_full_{false};
  Wakes wakes_;
  Mutex mutex_;
  Mail mail_ ASHLAR_GUARDED_BY(mutex_);
  std::vector<std::function<void()>> tasks_ ASHLAR_GUARDED_BY(mutex_);
  bool scan_wanted_ ASHLAR_GUARDED_BY(mutex_) = false;
};

}  // namespace ashlar
