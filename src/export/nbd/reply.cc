// Encoding of replies; see reply.h.
#include "export/nbd/reply.h"

#include <algorithm>

namespace ashlar::nbd {
namespace {

std::size_t encode_simple(ReplyError error, std::uint64_t cookie, ByteSpan into) {
  store_be(into, 0, kSimpleReplyMagic);
  store_be(into, 4, static_cast<std::uint32_t>(error));
  store_be(into, 8, cookie);
  return kSimpleReplyBytes;
}

// The header of the only and so last chunk of a structured reply.
std::size_t encode_last_chunk(Chunk type, std::uint64_t cookie, std::uint32_t length,
                              ByteSpan into) {
  store_be(into, 0, kStructuredReplyMagic);
  store_be(into, 4, kReplyDone);
  store_be(into, 6, static_cast<std::uint16_t>(type));
  store_be(into, 8, cookie);
  store_be(into, 16, length);
  return kChunkHeaderBytes;
}

}  // namespace

std::size_t encode_success(const RequestHeader& request, bool structured, ByteSpan into) {
  const bool is_read = request.command == static_cast<std::uint16_t>(Command::read);
  if (!structured || !is_read) return encode_simple(ReplyError::none, request.cookie, into);
  // A data chunk describes at least one byte, so an empty read has none.
  if (request.length == 0) return encode_last_chunk(Chunk::none, request.cookie, 0, into);
  encode_last_chunk(Chunk::offset_data, request.cookie, 8 + request.length, into);
  store_be(into, kChunkHeaderBytes, request.offset);
  return kChunkHeaderBytes + 8;
}

std::size_t encode_error(const RequestHeader& request, bool structured, const Refusal& refusal,
                         ByteSpan into) {
  ASHLAR_ASSERT(refusal.error != ReplyError::none);
  if (!structured) return encode_simple(refusal.error, request.cookie, into);
  const std::string_view text = refusal.reason.substr(0, kMaxErrorTextBytes);
  const auto length = static_cast<std::uint32_t>(6 + text.size());
  encode_last_chunk(Chunk::error, request.cookie, length, into);
  store_be(into, kChunkHeaderBytes, static_cast<std::uint32_t>(refusal.error));
  store_be(into, kChunkHeaderBytes + 4, static_cast<std::uint16_t>(text.size()));
  std::ranges::copy(as_bytes(text), into.begin() + kChunkHeaderBytes + 6);
  return kChunkHeaderBytes + length;
}

}  // namespace ashlar::nbd
