// The rare ends of an operation: waited for, abandoned, without a bio.
#include "io/operation.h"

namespace ashlar {

Errc Operation::run(const IoRequest& request) noexcept {
  start(request, nullptr);
  while (in_flight_) channel_->lane().wait(-1);
  return error();
}

void Operation::abandon() noexcept {
  done_ = nullptr;
  cancel();
  while (in_flight_) channel_->lane().wait(-1);
}

void Operation::end_without_bio() noexcept {
  bio_ = channel_->allocate();  // for the next start(): memory may be there again
  if (bio_ != nullptr) bio_->fail(Errc::no_memory);
  if (done_ != nullptr) done_(*this);
}

}  // namespace ashlar
