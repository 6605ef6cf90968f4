// A deadline for one request: a cancellation with a clock.
//
//   Deadline deadline;
//   deadline.submit(channel, *bio, lane.now_ns() + 50'000'000);
//   // ... end_io is called as ever; bio.error is timed_out where the deadline ended it
//
// At the deadline the request is cancelled: every part of it, wherever it is (Lane::cancel). It
// still ends once, through its own end_io, and when the parts have let go of its memory; with its
// result where it was too late. A deadline costs a timer; requests without one pay nothing.
//
// OWNERSHIP: the caller's; it stays where it is until the request has ended, and may be used again
// then, from inside end_io too. It borrows the bio's `end_io` and `user` meanwhile.
// THREAD: the lane's.
#pragma once

#include "program/channel.h"

namespace ashlar {

class Deadline {
 public:
  Deadline() = default;
  Deadline(const Deadline&) = delete;
  Deadline& operator=(const Deadline&) = delete;
  // REQUIRES: no request under way.
  ~Deadline() { ASHLAR_ASSERT(bio_ == nullptr); }

  // Submits `bio`, to be ended at `at_ns` of the lane's clock. Where that has passed already, the
  // bio ends with timed_out and nothing is started.
  void submit(Channel& channel, Bio& bio, std::uint64_t at_ns) noexcept;

 private:
  static void expired(Timer& timer, Context& cx) noexcept;
  static void ended(Bio& bio) noexcept;

  Lane* lane_ = nullptr;
  Bio* bio_ = nullptr;  // under way
  EndIo end_io_ = nullptr;
  void* user_ = nullptr;
  bool expired_ = false;
  Timer timer_;
};

}  // namespace ashlar
