// Task: a coroutine that waits for requests (io/async_device.h) and for other tasks.
//
//   Task<Errc> copy_block(AsyncDevice& from, AsyncDevice& to, std::uint64_t offset, ByteSpan
//   buffer) {
//     if (Errc error = co_await from.read(offset, buffer); error != Errc::ok) co_return error;
//     co_return co_await to.write(offset, buffer);
//   }
//   Task<Errc> task = copy_block(a, b, 0, buffer);
//   Errc error = task.run(lane);               // or start(), and run the lane as you like
//
// A task allocates one frame when it is made and nothing for a request; it starts when it is
// awaited, start()ed or run(). Nothing here grows the machine's stack with the number of requests:
// what ends at once goes on at once, without a call deeper.
//
// CANCELLING: cancel() asks the request that the task waits for, at whatever depth, to end; every
// later request of the task ends with `cancelled` at once. The coroutine sees the error and ends as
// its author wrote it. Destroying a task that is under way cancels its request and runs the lane
// until that has ended, so that no kernel writes into a frame that is gone; as Operation says, not
// from a completion, and a coroutine runs in one: it may destroy tasks that have ended or never
// started.
//
// THREAD: the lane's. A task does not throw: an exception that leaves the coroutine ends the
// program.
#pragma once

#include <coroutine>
#include <exception>
#include <optional>
#include <utility>

#include "io/operation.h"

namespace ashlar {

// What all tasks have in common, and requests know of them.
class TaskPromise {
 public:
  std::suspend_always initial_suspend() noexcept { return {}; }
  void unhandled_exception() noexcept { std::terminate(); }

  struct Final {
    bool await_ready() const noexcept { return false; }
    template <typename Promise>
    void await_suspend(std::coroutine_handle<Promise> self) noexcept {
      TaskPromise& promise = self.promise();
      // Where the awaiting task is still starting this one, it sees that it has ended and goes on.
      if (promise.continuation_ && !promise.starting_) promise.continuation_.resume();
    }
    void await_resume() noexcept {}
  };
  Final final_suspend() noexcept { return {}; }

  bool cancelled() const noexcept { return cancelled_; }
  void cancel() noexcept {
    TaskPromise* at = this;
    while (true) {
      at->cancelled_ = true;
      if (at->inner_ == nullptr) break;
      at = at->inner_;
    }
    if (at->waits_for_ != nullptr) at->waits_for_->cancel();
  }

  // The request that the coroutine waits for; null when none.
  void wait_for(Operation* operation) noexcept { waits_for_ = operation; }

 private:
  template <typename T>
  friend class Task;

  std::coroutine_handle<> continuation_;
  TaskPromise* inner_ = nullptr;  // the task that this one waits for
  Operation* waits_for_ = nullptr;
  bool cancelled_ = false;
  bool starting_ = false;
};

template <typename T>
class [[nodiscard]] Task {
 public:
  struct promise_type : TaskPromise {
    Task get_return_object() noexcept {
      return Task(std::coroutine_handle<promise_type>::from_promise(*this));
    }
    void return_value(T result) { value.emplace(std::move(result)); }
    std::optional<T> value;
  };

  Task(Task&& other) noexcept : handle_(std::exchange(other.handle_, {})) {}
  Task& operator=(Task&& other) noexcept {
    std::swap(handle_, other.handle_);
    return *this;
  }
  ~Task() {
    if (handle_) handle_.destroy();
  }

  // Runs it until it first waits. REQUIRES: not started.
  void start() noexcept { handle_.resume(); }
  bool ended() const noexcept { return handle_.done(); }
  // See above. REQUIRES: not ended.
  void cancel() noexcept { handle_.promise().cancel(); }

  // REQUIRES: ended.
  T& result() noexcept {
    ASHLAR_ASSERT(handle_.promise().value.has_value());
    return *handle_.promise().value;
  }

  // Starts it and runs `lane` until it has ended. REQUIRES: not called from a completion.
  T run(Lane& lane) noexcept {
    start();
    while (!ended()) lane.wait(-1);
    return std::move(result());
  }

  // co_await task: starts it and waits for its end. The awaiting task's cancellation is its, too.
  class Awaiter {
   public:
    explicit Awaiter(std::coroutine_handle<promise_type> task) noexcept : task_(task) {}
    bool await_ready() const noexcept { return task_.done(); }
    template <typename Promise>
    bool await_suspend(std::coroutine_handle<Promise> outer) noexcept {
      TaskPromise& inner = task_.promise();
      outer_ = &outer.promise();
      outer_->inner_ = &inner;
      inner.cancelled_ = inner.cancelled_ || outer_->cancelled_;
      inner.continuation_ = outer;
      inner.starting_ = true;
      task_.resume();
      inner.starting_ = false;
      return !task_.done();
    }
    T await_resume() noexcept {
      if (outer_ != nullptr) outer_->inner_ = nullptr;
      return std::move(*task_.promise().value);
    }

   private:
    std::coroutine_handle<promise_type> task_;
    TaskPromise* outer_ = nullptr;
  };
  // REQUIRES: not started, or ended.
  Awaiter operator co_await() noexcept { return Awaiter(handle_); }

 private:
  explicit Task(std::coroutine_handle<promise_type> handle) noexcept : handle_(handle) {}

  std::coroutine_handle<promise_type> handle_;
};

}  // namespace ashlar
