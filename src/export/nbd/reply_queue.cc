// Gathering replies; see reply_queue.h.
#include "export/nbd/reply_queue.h"

#include <utility>

namespace ashlar::nbd {

ReplyQueue::Gathered ReplyQueue::gather(std::span<iovec> into) noexcept {
  Gathered result;
  std::size_t skip = sent_of_first_;
  const auto add = [&](const std::byte* data, std::size_t length) {
    const std::size_t skipped = skip < length ? skip : length;
    skip -= skipped;
    if (length == skipped) return;
    into[result.count++] = iovec{const_cast<std::byte*>(data) + skipped, length - skipped};
  };
  for (Exchange* each = &replies_.front(); each != nullptr; each = replies_.next(*each)) {
    if (into.size() - result.count < 2) break;
    add(each->head(), each->head_bytes);
    if (each->in_file()) {
      result.file_follows = true;
      break;
    }
    if (each->data_bytes > 0) add(each->read_buffer.data(), each->data_bytes);
  }
  return result;
}

FileRange ReplyQueue::next_file() noexcept {
  Exchange& first = replies_.front();
  if (!first.in_file() || sent_of_first_ < first.head_bytes) return {};
  const std::size_t sent = sent_of_first_ - first.head_bytes;
  return {first.file.fd, first.file.offset + sent, first.file.length - sent};
}

void ReplyQueue::sent(std::size_t count, ExchangeList& done) noexcept {
  sent_of_first_ += count;
  while (!replies_.empty()) {
    Exchange& first = replies_.front();
    const std::size_t whole = std::size_t{first.head_bytes} + first.data_bytes;
    if (sent_of_first_ < whole) return;
    sent_of_first_ -= whole;
    leave(first);
    done.push_back(first);
  }
  ASHLAR_ASSERT(sent_of_first_ == 0);
}

Exchange& ReplyQueue::hold_first() noexcept {
  Exchange& first = replies_.front();
  leave(first);
  held_ = true;
  return first;
}

void ReplyQueue::put_back(Exchange& exchange) noexcept {
  ASHLAR_ASSERT(held_);
  held_ = false;
  replies_.push_front(exchange);
  ++count_;
  data_bytes_ += exchange.data_bytes;
}

void ReplyQueue::clear(ExchangeList& done) noexcept {
  done.splice_back(replies_);
  count_ = 0;
  data_bytes_ = 0;
  sent_of_first_ = 0;
  held_ = false;
}

void ReplyQueue::leave(Exchange& exchange) noexcept {
  exchange.link.unlink();
  --count_;
  data_bytes_ -= exchange.data_bytes;
}

}  // namespace ashlar::nbd
