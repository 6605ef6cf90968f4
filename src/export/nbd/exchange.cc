// The pool of exchanges; see exchange.h.
#include "export/nbd/exchange.h"

#include <new>

namespace ashlar::nbd {

ExchangePool::~ExchangePool() {
  std::size_t idle = 0;
  while (idle_.pop_front() != nullptr) ++idle;
  ASHLAR_ASSERT(idle == all_.size());
}

Exchange* ExchangePool::take() noexcept {
  if (Exchange* exchange = idle_.pop_front()) return exchange;
  try {
    all_.push_back(std::make_unique<Exchange>());
    return all_.back().get();
  } catch (const std::bad_alloc&) {
    return nullptr;
  }
}

void ExchangePool::put(Exchange& exchange) noexcept {
  ASHLAR_ASSERT(exchange.bio == nullptr);
  exchange.request.payload = WritePayload{};
  exchange.read_buffer.reset();
  exchange.failure.reset();
  exchange.file = FileRange{};
  exchange.fetching = false;
  idle_.push_front(exchange);
}

}  // namespace ashlar::nbd
