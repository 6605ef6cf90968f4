// The decoder's state machine; see request_decoder.h.
//
// Invariants: (1) head_ <= tail_ <= block size; (2) in payload_in_block the whole payload has room
// between head_ and the end of the block; (3) in payload_rest pending_.payload holds the part that
// was in the block, if any, and last the buffer with rest_bytes_ bytes; head_ == tail_ until that
// buffer is full; (4) bytes before head_ may be overwritten only where block_ is the only pin.
#include "export/nbd/request_decoder.h"

#include <algorithm>
#include <utility>

namespace ashlar::nbd {

unsigned RequestDecoder::receive_vector(std::array<iovec, 2>& into) noexcept {
  if (!prepare_block()) return 0;
  unsigned count = 0;
  if (stage_ == Stage::payload_rest) {
    std::byte* rest = pending_.payload.pins[pending_.payload.count - 1].data();
    into[count++] = iovec{rest + rest_received_, rest_bytes_ - rest_received_};
  }
  into[count++] = iovec{block_.data() + tail_, room()};
  return count;
}

void RequestDecoder::received(std::size_t count) noexcept {
  if (stage_ == Stage::payload_rest) {
    const std::size_t piece = std::min(count, rest_bytes_ - rest_received_);
    rest_received_ += piece;
    count -= piece;
  }
  ASHLAR_ASSERT(count <= room());
  tail_ += count;
}

bool RequestDecoder::preload(ByteView bytes) noexcept {
  ASHLAR_ASSERT(tail_ == 0 && bytes.size() <= kBlockBytes);
  if (bytes.empty()) return true;
  if (!prepare_block()) return false;
  std::ranges::copy(bytes, block_.data());
  tail_ = bytes.size();
  return true;
}

// Makes room to receive into. A payload that is arriving in the block has its room already.
bool RequestDecoder::prepare_block() noexcept {
  if (!block_) return exchange_block();
  if (unread() == 0 && block_.is_only_pin()) head_ = tail_ = 0;
  if (stage_ == Stage::payload_in_block || room() >= kSmallestWindowBytes) return true;
  return exchange_block();
}

// Continues in another block, or at the front of this one where nobody needs its bytes any more.
// What is unread is part of a header: everything else was decoded before.
bool RequestDecoder::exchange_block() noexcept {
  const std::size_t kept = unread();
  ASHLAR_ASSERT(kept < kRequestHeaderBytes);
  BufferRef next = block_ && block_.is_only_pin() ? block_ : pool_.take(kBlockBytes);
  if (!next) return false;
  if (kept > 0) std::memmove(next.data(), block_.data() + head_, kept);
  block_ = std::move(next);
  head_ = 0;
  tail_ = kept;
  return true;
}

void RequestDecoder::release_idle_block() noexcept {
  if (unread() > 0 || stage_ == Stage::payload_in_block) return;
  block_.reset();
  head_ = tail_ = 0;
}

DecodeResult RequestDecoder::next(Request& request) noexcept {
  request = Request{};
  if (stage_ == Stage::skipping) skip();
  switch (stage_) {
    case Stage::header:
      return take_header(request);
    case Stage::payload_in_block:
      return take_payload(request);
    case Stage::payload_rest:
      return take_rest(request);
    case Stage::skipping:
      return DecodeResult::need_more;
    case Stage::broken:
      return DecodeResult::broken;
  }
  return DecodeResult::broken;
}

void RequestDecoder::skip() noexcept {
  const std::size_t piece = std::min<std::size_t>(skip_bytes_, unread());
  head_ += piece;
  skip_bytes_ -= static_cast<std::uint32_t>(piece);
  if (skip_bytes_ == 0) stage_ = Stage::header;
}

DecodeResult RequestDecoder::take_header(Request& request) noexcept {
  if (unread() < kRequestHeaderBytes) return DecodeResult::need_more;
  request.header = decode_request_header(ByteView(block_.data() + head_, kRequestHeaderBytes));
  if (request.header.magic != kRequestMagic) {
    stage_ = Stage::broken;
    return DecodeResult::broken;
  }
  head_ += kRequestHeaderBytes;
  if (request.command() == Command::disconnect) return DecodeResult::disconnect;
  request.refusal = check_request(request.header, rules_);
  if (request.command() != Command::write || request.header.length == 0) {
    return DecodeResult::request;
  }
  return begin_payload(request);
}

DecodeResult RequestDecoder::begin_payload(Request& request) noexcept {
  const std::uint32_t length = request.header.length;
  if (!request.refusal) {
    pending_ = std::move(request);
    stage_ = Stage::payload_in_block;
    if (length <= block_.size() - head_) return take_payload(request);
    if (begin_rest()) return take_rest(request);
    request = std::exchange(pending_, Request{});
    request.refusal = {ReplyError::no_memory, "the server has no memory for the payload"};
  }
  skip_bytes_ = length;
  stage_ = Stage::skipping;
  return DecodeResult::request;
}

// Takes the part of the payload that is there as the first view, and a buffer for the rest.
bool RequestDecoder::begin_rest() noexcept {
  const std::size_t here = unread();
  rest_bytes_ = pending_.header.length - here;
  rest_received_ = 0;
  BufferRef rest = pool_.take(rest_bytes_);
  if (!rest) return false;
  WritePayload& payload = pending_.payload;
  if (here > 0) {
    payload.parts[payload.count] = ByteSpan(block_.data() + head_, here);
    payload.pins[payload.count++] = block_;
  }
  payload.parts[payload.count] = ByteSpan(rest.data(), rest_bytes_);
  payload.pins[payload.count++] = std::move(rest);
  head_ = tail_;
  stage_ = Stage::payload_rest;
  return true;
}

DecodeResult RequestDecoder::take_payload(Request& request) noexcept {
  const std::uint32_t length = pending_.header.length;
  if (unread() < length) return DecodeResult::need_more;
  pending_.payload.parts[0] = ByteSpan(block_.data() + head_, length);
  pending_.payload.pins[0] = block_;
  pending_.payload.count = 1;
  head_ += length;
  stage_ = Stage::header;
  request = std::exchange(pending_, Request{});
  return DecodeResult::request;
}

DecodeResult RequestDecoder::take_rest(Request& request) noexcept {
  if (rest_received_ < rest_bytes_) return DecodeResult::need_more;
  stage_ = Stage::header;
  request = std::exchange(pending_, Request{});
  return DecodeResult::request;
}

}  // namespace ashlar::nbd
