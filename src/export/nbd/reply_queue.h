// Replies that are ready, in the order in which they became so, and how much of them was sent.
//
//   iovec vector[...];
//   unsigned count = queue.gather(vector);
//   queue.sent(sendmsg(...), pool);            // whole replies go back to the pool
//
// THREAD: one lane's.
#pragma once

#include <sys/uio.h>

#include <cstddef>
#include <span>

#include "export/nbd/exchange.h"

namespace ashlar::nbd {

class ReplyQueue {
 public:
  bool empty() const noexcept { return replies_.empty(); }

  std::uint32_t count() const noexcept { return count_; }
  std::uint64_t data_bytes() const noexcept { return data_bytes_; }

  // REQUIRES: the exchange is in no list, and its head is encoded.
  void push(Exchange& exchange) noexcept {
    replies_.push_back(exchange);
    ++count_;
    data_bytes_ += exchange.data_bytes;
  }

  // Writes entries for what is still to be sent, as many as fit; returns how many.
  unsigned gather(std::span<iovec> into) noexcept;

  // `count` bytes of what was gathered were sent. REQUIRES: not more than was gathered.
  void sent(std::size_t count, ExchangePool& pool) noexcept;

  // Gives everything back, sent or not.
  void clear(ExchangePool& pool) noexcept;

 private:
  void put(Exchange& exchange, ExchangePool& pool) noexcept;

  ExchangeList replies_;
  std::uint32_t count_ = 0;
  std::uint64_t data_bytes_ = 0;   // of the reads among them
  std::size_t sent_of_first_ = 0;  // bytes of the first reply that are sent already
};

}  // namespace ashlar::nbd
