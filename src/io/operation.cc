// The rare ends of an operation: waited for, and abandoned.
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

}  // namespace ashlar
