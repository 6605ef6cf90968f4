// From the bytes of a connection in transmission to requests, without copying a payload.
//
//   receive block  [ header | payload 4096 | header | header | payload, first part ]
//                             ^ a view                         ^ view 1   of a write that does not
//                                                                         fit the block any more
//   payload buffer                                    [ payload, the rest ]     received directly
//                                                       ^ view 2
//
// One receive call brings many small requests at once into a block, and a write's payload is handed
// out as a view of it, which pins the block. Where a payload is longer than what is left of the
// block, the rest is received straight into a buffer of its own. So a payload has at most two
// views, and only a header that lies across two blocks is ever moved (28 bytes).
//
//   unsigned count = decoder.receive_vector(vector);
//   decoder.received(readv(fd, vector, count));
//   while (decoder.next(request) == DecodeResult::request) start(request);
//
// A request that the rules refuse is handed out at once, with `refusal` set; its payload is skipped
// as it arrives and never kept.
//
// THREAD: one connection's, so one lane's.
#pragma once

#include <sys/uio.h>

#include <array>
#include <cstddef>
#include <cstdint>

#include "base/bytes.h"
#include "export/nbd/buffer_pool.h"
#include "export/nbd/request_rules.h"

namespace ashlar::nbd {

// The bytes of a write. The pins keep the memory; empty for other requests.
struct WritePayload {
  std::array<ByteSpan, 2> parts;
  std::array<BufferRef, 2> pins;
  std::uint32_t count = 0;  // parts in use
};

struct Request {
  RequestHeader header;
  Refusal refusal;
  WritePayload payload;

  Command command() const noexcept { return static_cast<Command>(header.command); }
};

enum class DecodeResult : std::uint8_t {
  need_more,   // Receive first.
  request,     // One was handed out.
  disconnect,  // The client says goodbye: finish what is under way, then close.
  broken,      // Not an NBD request: close. Every later call answers the same.
};

class RequestDecoder {
 public:
  // Room for some sixty writes of 4 KiB, and for what a unix socket holds at most by default.
  static constexpr std::size_t kBlockBytes = 256 * kKiB;
  // A block with less room than this is exchanged for a new one before receiving.
  static constexpr std::size_t kSmallestWindowBytes = 16 * kKiB;

  // `pool` must outlive the decoder and its requests.
  RequestDecoder(BufferPool& pool, const RequestRules& rules) noexcept
      : pool_(pool), rules_(rules) {}
  RequestDecoder(const RequestDecoder&) = delete;
  RequestDecoder& operator=(const RequestDecoder&) = delete;

  // Where the next bytes go: writes one or two entries and returns how many; 0 where the system has
  // no memory. Call next() until it needs more before.
  unsigned receive_vector(std::array<iovec, 2>& into) noexcept;

  // Tells that `count` bytes came into the last receive_vector.
  // REQUIRES: count is at most its length.
  void received(std::size_t count) noexcept;

  // Takes bytes that came behind the negotiation. They are copied: for a client that did not wait.
  // False where the system has no memory. REQUIRES: nothing was received yet, at most kBlockBytes.
  bool preload(ByteView bytes) noexcept;

  // Hands out the next request into `request`, whose earlier content is dropped.
  DecodeResult next(Request& request) noexcept;

  // Gives the block back to the pool where no byte of an unfinished message lies in it, so that an
  // idle connection holds no memory.
  void release_idle_block() noexcept;

  // After the device was resized: the following requests are checked against the new size.
  void set_size(std::uint64_t size_bytes) noexcept { rules_.size_bytes = size_bytes; }
  const RequestRules& rules() const noexcept { return rules_; }

 private:
  enum class Stage : std::uint8_t { header, payload_in_block, payload_rest, skipping, broken };

  std::size_t unread() const noexcept { return tail_ - head_; }
  std::size_t room() const noexcept { return block_ ? block_.size() - tail_ : 0; }
  bool prepare_block() noexcept;
  bool exchange_block() noexcept;
  DecodeResult take_header(Request& request) noexcept;
  DecodeResult begin_payload(Request& request) noexcept;
  bool begin_rest() noexcept;
  DecodeResult take_payload(Request& request) noexcept;
  DecodeResult take_rest(Request& request) noexcept;
  void skip() noexcept;

  BufferPool& pool_;
  RequestRules rules_;
  Stage stage_ = Stage::header;
  BufferRef block_;
  std::size_t head_ = 0;           // first byte of the block not yet decoded
  std::size_t tail_ = 0;           // end of what was received into it
  std::size_t rest_bytes_ = 0;     // payload_rest: length of the part outside the block
  std::size_t rest_received_ = 0;  // payload_rest: bytes of it that are there
  std::uint32_t skip_bytes_ = 0;   // skipping: still to come
  Request pending_;                // the write whose payload is arriving
};

}  // namespace ashlar::nbd
