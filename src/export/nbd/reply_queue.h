// Replies that are ready, in the order in which they became so, and how much of them was sent.
//
//   while (queue.ready()) {
//     FileRange file = queue.next_file();
//     if (file.length > 0) queue.sent(send_file(socket, file), done);
//     else queue.sent(sendmsg(..., queue.gather(vector)), done);
//   }                                          // whole replies are in `done`
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

  // There is something to send now.
  bool ready() const noexcept { return !held_ && !replies_.empty(); }

  struct Gathered {
    unsigned count = 0;         // entries
    bool file_follows = false;  // behind the last of them
  };
  // Writes entries for what is still to be sent from memory, as many as fit; none where bytes of a
  // file come next. REQUIRES: ready().
  Gathered gather(std::span<iovec> into) noexcept;

  // What comes next where that lies in a file, else a range of no length. REQUIRES: ready().
  FileRange next_file() noexcept;

  // `count` bytes of what was gathered, or of next_file(), were sent; replies that are sent whole
  // are moved to `done`. REQUIRES: not more than that.
  void sent(std::size_t count, ExchangeList& done) noexcept;

  // Takes the first reply out, of which a part may have been sent. Until it is put back nothing is
  // ready. REQUIRES: ready().
  Exchange& hold_first() noexcept;
  // Its data may lie elsewhere now. REQUIRES: hold_first() returned it.
  void put_back(Exchange& exchange) noexcept;

  // Moves everything to `done`, sent or not.
  void clear(ExchangeList& done) noexcept;

 private:
  void leave(Exchange& exchange) noexcept;

  ExchangeList replies_;
  std::uint32_t count_ = 0;
  std::uint64_t data_bytes_ = 0;   // of the reads among them
  std::size_t sent_of_first_ = 0;  // bytes of the first reply that are sent already
  bool held_ = false;              // the first reply is out; sent_of_first_ is of that one
};

}  // namespace ashlar::nbd
