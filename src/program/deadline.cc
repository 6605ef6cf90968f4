// The timer beside a request, and whose error it was in the end.
#include "program/deadline.h"

#include <utility>

namespace ashlar {

void Deadline::submit(Channel& channel, Bio& bio, std::uint64_t at_ns) noexcept {
  ASHLAR_ASSERT(bio_ == nullptr);
  Lane& lane = channel.lane();
  if (at_ns <= lane.now_ns()) {
    bio.done = 0;
    bio.fail(Errc::timed_out);
    if (bio.has_frame()) fault_of(bio) = Fault{.step = -1, .program = 0, .offset = bio.offset};
    bio.end_io(bio);
    return;
  }
  lane_ = &lane;
  bio_ = &bio;
  end_io_ = std::exchange(bio.end_io, &Deadline::ended);
  user_ = std::exchange(bio.user, this);
  expired_ = false;
  timer_.user = this;
  timer_.expired = &Deadline::expired;
  lane.arm(timer_, at_ns);
  channel.submit(bio);
}

void Deadline::expired(Timer& timer, Context&) noexcept {
  auto& deadline = *static_cast<Deadline*>(timer.user);
  deadline.expired_ = true;
  deadline.lane_->cancel(*deadline.bio_);
}

void Deadline::ended(Bio& bio) noexcept {
  auto& deadline = *static_cast<Deadline*>(bio.user);
  ASHLAR_ASSERT(deadline.bio_ == &bio);
  if (deadline.timer_.armed) deadline.lane_->disarm(deadline.timer_);
  if (deadline.expired_ && bio.error == Errc::cancelled) bio.error = Errc::timed_out;
  bio.end_io = deadline.end_io_;
  bio.user = deadline.user_;
  deadline.bio_ = nullptr;
  bio.end_io(bio);
}

}  // namespace ashlar
