// The rare ends of an operation: waited for, and abandoned.
#include "io/operation.h"

namespace ashlar {

Errc Operation::run(const IoRequest& request) noexcept {
  start(request, nullptr);
  Lane& lane = channel_->lane();
  // One that ended at once: who only makes such requests still takes what others hand to the lane,
  // a changed program before all.
  if (!in_flight_ && lane.has_mail()) lane.poll();
  while (in_flight_) lane.wait(-1);
  return error();
}

void Operation::abandon() noexcept {
  done_ = nullptr;
  cancel();
  while (in_flight_) channel_->lane().wait(-1);
}

}  // namespace ashlar
