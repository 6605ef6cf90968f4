// AsyncDevice: a device for coroutines (io/task.h).
//
//   AsyncDevice device(*channel);
//   Errc error = co_await device.read(0, buffer);
//
// What is awaited is an Operation, with its bio, in the coroutine's own frame: no allocation. A
// request that ends at once does not suspend.
//
// THREAD: the lane's.
#pragma once

#include "io/task.h"

namespace ashlar {

// One request of a task. Awaited once, where it was made; its result is the request's error.
class [[nodiscard]] IoAwaiter {
 public:
  IoAwaiter(Channel& channel, const IoRequest& request) noexcept
      : operation_(channel), request_(request) {}
  IoAwaiter(const IoAwaiter&) = delete;
  IoAwaiter& operator=(const IoAwaiter&) = delete;

  bool await_ready() const noexcept { return false; }
  template <typename Promise>
  bool await_suspend(std::coroutine_handle<Promise> task) noexcept {
    promise_ = &task.promise();
    task_ = task;
    cancelled_ = promise_->cancelled();
    if (cancelled_) return false;
    starting_ = true;
    operation_.start(request_, &IoAwaiter::ended, this);
    starting_ = false;
    if (!operation_.in_flight()) return false;
    promise_->wait_for(&operation_);
    return true;
  }
  Errc await_resume() noexcept { return cancelled_ ? Errc::cancelled : operation_.error(); }

 private:
  static void ended(Operation& operation) noexcept {
    IoAwaiter& self = *static_cast<IoAwaiter*>(operation.user());
    if (self.starting_) return;
    self.promise_->wait_for(nullptr);
    self.task_.resume();
  }

  Operation operation_;
  const IoRequest request_;
  TaskPromise* promise_ = nullptr;
  std::coroutine_handle<> task_;
  bool starting_ = false;
  bool cancelled_ = false;
};

// OWNERSHIP: outlived by its channel.
class AsyncDevice {
 public:
  explicit AsyncDevice(Channel& channel) noexcept : channel_(channel) {}

  IoAwaiter submit(const IoRequest& request) noexcept { return IoAwaiter(channel_, request); }

  IoAwaiter read(std::uint64_t offset, ByteSpan into) noexcept {
    return submit(IoRequest::read(offset, into));
  }
  IoAwaiter write(std::uint64_t offset, ByteView from, std::uint8_t flags = 0) noexcept {
    return submit(IoRequest::write(offset, from, flags));
  }
  IoAwaiter flush() noexcept { return submit(IoRequest::flush()); }
  IoAwaiter discard(std::uint64_t offset, std::uint64_t length) noexcept {
    return submit(IoRequest::discard(offset, length));
  }
  IoAwaiter write_zeroes(std::uint64_t offset, std::uint64_t length,
                         std::uint8_t flags = 0) noexcept {
    return submit(IoRequest::write_zeroes(offset, length, flags));
  }

 private:
  Channel& channel_;
};

}  // namespace ashlar
