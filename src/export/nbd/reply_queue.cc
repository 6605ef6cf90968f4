// Gathering replies; see reply_queue.h.
#include "export/nbd/reply_queue.h"

#include <utility>

namespace ashlar::nbd {

unsigned ReplyQueue::gather(std::span<iovec> into) noexcept {
  if (replies_.empty()) return 0;
  unsigned count = 0;
  std::size_t skip = sent_of_first_;
  const auto add = [&](const std::byte* data, std::size_t length) {
    const std::size_t skipped = skip < length ? skip : length;
    skip -= skipped;
    if (length == skipped) return;
    into[count++] = iovec{const_cast<std::byte*>(data) + skipped, length - skipped};
  };
  for (Exchange* each = &replies_.front(); each != nullptr; each = replies_.next(*each)) {
    if (into.size() - count < 2) break;
    add(each->head(), each->head_bytes);
    if (each->data_bytes > 0) add(each->read_buffer.data(), each->data_bytes);
  }
  return count;
}

void ReplyQueue::sent(std::size_t count, ExchangePool& pool) noexcept {
  sent_of_first_ += count;
  while (!replies_.empty()) {
    Exchange& first = replies_.front();
    const std::size_t whole = std::size_t{first.head_bytes} + first.data_bytes;
    if (sent_of_first_ < whole) return;
    sent_of_first_ -= whole;
    first.link.unlink();
    put(first, pool);
  }
  ASHLAR_ASSERT(sent_of_first_ == 0);
}

void ReplyQueue::clear(ExchangePool& pool) noexcept {
  while (Exchange* each = replies_.pop_front()) put(*each, pool);
  sent_of_first_ = 0;
}

void ReplyQueue::put(Exchange& exchange, ExchangePool& pool) noexcept {
  --count_;
  data_bytes_ -= exchange.data_bytes;
  pool.put(exchange);
}

}  // namespace ashlar::nbd
