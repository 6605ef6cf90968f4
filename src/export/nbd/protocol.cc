// Encoding and decoding of the fixed parts of NBD messages; see protocol.h.
#include "export/nbd/protocol.h"

namespace ashlar::nbd {

ReplyError reply_error_from(Errc code) noexcept {
  switch (code) {
    case Errc::ok:
      return ReplyError::none;
    case Errc::read_only:
    case Errc::permission:
    case Errc::busy:
      return ReplyError::permission;
    case Errc::no_space:
      return ReplyError::no_space;
    case Errc::no_memory:
      return ReplyError::no_memory;
    case Errc::invalid:
    case Errc::unsupported:
    case Errc::out_of_range:
      return ReplyError::invalid;
    case Errc::cancelled:
      return ReplyError::shutting_down;
    case Errc::io:
    case Errc::gone:
    case Errc::timed_out:
    case Errc::not_found:
    case Errc::exists:
    case Errc::corrupt:
    case Errc::disconnected:
    case Errc::ambiguous:
      return ReplyError::io;
  }
  return ReplyError::io;
}

RequestHeader decode_request_header(ByteView bytes) {
  ASHLAR_ASSERT(bytes.size() >= kRequestHeaderBytes);
  return RequestHeader{
      .magic = load_be<std::uint32_t>(bytes, 0),
      .flags = load_be<std::uint16_t>(bytes, 4),
      .command = load_be<std::uint16_t>(bytes, 6),
      .cookie = load_be<std::uint64_t>(bytes, 8),
      .offset = load_be<std::uint64_t>(bytes, 16),
      .length = load_be<std::uint32_t>(bytes, 24),
  };
}

void encode_request_header(const RequestHeader& header, ByteSpan into) {
  ASHLAR_ASSERT(into.size() >= kRequestHeaderBytes);
  store_be(into, 0, header.magic);
  store_be(into, 4, header.flags);
  store_be(into, 6, header.command);
  store_be(into, 8, header.cookie);
  store_be(into, 16, header.offset);
  store_be(into, 24, header.length);
}

OptionHeader decode_option_header(ByteView bytes) {
  ASHLAR_ASSERT(bytes.size() >= kOptionHeaderBytes);
  return OptionHeader{
      .magic = load_be<std::uint64_t>(bytes, 0),
      .option = load_be<std::uint32_t>(bytes, 8),
      .length = load_be<std::uint32_t>(bytes, 12),
  };
}

}  // namespace ashlar::nbd
