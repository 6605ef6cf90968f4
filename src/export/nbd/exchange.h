// One request of a client and its reply, from the decoder to the last byte sent.
//
//   free pool -> decoded -> in flight (a bio) -> ready (in the reply queue) -> free pool
//
// It holds what the request pins: the payload of a write lies in receive blocks, the payload of a
// read in a buffer; the bio points at both through `segments`. Or the payload of a read stays in a
// file (file_reply.h); the bio, which no step sees then, keeps the file open until it is sent.
//
// THREAD: one lane's.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <vector>

#include "base/list.h"
#include "bio/bio.h"
#include "export/nbd/buffer_pool.h"
#include "export/nbd/reply.h"
#include "export/nbd/request_decoder.h"
#include "topology/step.h"

namespace ashlar::nbd {

class Session;

struct Exchange {
  ListLink link;  // of the list that stands for its state
  Session* session = nullptr;
  Bio* bio = nullptr;  // while in flight, or while `file` is to be sent
  Request request;
  BufferRef read_buffer;
  std::array<Segment, 2> segments;
  std::uint32_t head_bytes = 0;  // of `success`, or of `failure` where there is one
  std::uint32_t data_bytes = 0;  // of `read_buffer` or of `file`, behind the head
  FileRange file;                // of no length: the data is in `read_buffer`
  bool fetching = false;         // in flight again: the data of a reply that was begun from `file`
  std::array<std::byte, kMaxSuccessBytes> success;
  std::unique_ptr<std::array<std::byte, kMaxErrorBytes>> failure;  // errors alone pay for it

  bool in_file() const noexcept { return file.length > 0; }
  const std::byte* head() const noexcept { return failure ? failure->data() : success.data(); }
};

using ExchangeList = List<Exchange, &Exchange::link>;

// Exchanges of all connections of a lane; they are kept for ever and used again, last freed first.
class ExchangePool {
 public:
  ExchangePool() = default;
  // REQUIRES: every exchange is back.
  ~ExchangePool();

  // Null where the system has no memory.
  Exchange* take() noexcept;
  // Drops what the exchange pins. REQUIRES: it is in no list and not in flight.
  void put(Exchange& exchange) noexcept;

 private:
  ExchangeList idle_;
  std::vector<std::unique_ptr<Exchange>> all_;
};

}  // namespace ashlar::nbd
