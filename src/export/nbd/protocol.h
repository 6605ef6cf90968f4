// The words of the NBD protocol: magic numbers, options, commands, flags and error values, with the
// encoding and decoding of the fixed parts of its messages. All integers are big-endian.
//
// SOURCE: NetworkBlockDevice/nbd, doc/proto.md (fixed newstyle negotiation, structured replies).
// THREAD: constants and pure functions.
#pragma once

#include <cstdint>
#include <string_view>

#include "base/bytes.h"
#include "base/errc.h"

namespace ashlar::nbd {

// --- negotiation --------------------------------------------------------------------------------

inline constexpr std::uint64_t kServerMagic = 0x4e42444d41474943;       // "NBDMAGIC"
inline constexpr std::uint64_t kOptionMagic = 0x49484156454f5054;       // "IHAVEOPT"
inline constexpr std::uint64_t kOptionReplyMagic = 0x0003e889045565a9;  // before each option reply

// The server's handshake flags and the client's answer use the same two bits.
inline constexpr std::uint16_t kFixedNewstyle = 1u << 0;
inline constexpr std::uint16_t kNoZeroes = 1u << 1;

enum class Option : std::uint32_t {
  export_name = 1,
  abort = 2,
  list = 3,
  info = 6,
  go = 7,
  structured_reply = 8,
};

enum class OptionReply : std::uint32_t {
  ack = 1,
  server = 2,
  info = 3,
  error_unsupported = 0x80000001,
  error_policy = 0x80000002,
  error_invalid = 0x80000003,
  error_unknown = 0x80000006,
  error_too_big = 0x80000009,
};

enum class Info : std::uint16_t { export_size = 0, name = 1, description = 2, block_size = 3 };

// Transmission flags: what the server tells of an export.
inline constexpr std::uint16_t kHasFlags = 1u << 0;
inline constexpr std::uint16_t kReadOnly = 1u << 1;
inline constexpr std::uint16_t kSendFlush = 1u << 2;
inline constexpr std::uint16_t kSendFua = 1u << 3;
inline constexpr std::uint16_t kSendTrim = 1u << 5;
inline constexpr std::uint16_t kSendWriteZeroes = 1u << 6;
inline constexpr std::uint16_t kSendDontFragment = 1u << 7;
inline constexpr std::uint16_t kCanMultiConn = 1u << 8;

inline constexpr std::size_t kGreetingBytes = 18;  // two magics, handshake flags
inline constexpr std::size_t kClientFlagsBytes = 4;
inline constexpr std::size_t kOptionHeaderBytes = 16;  // magic, option, length
inline constexpr std::size_t kOptionReplyHeaderBytes = 20;
inline constexpr std::size_t kExportNameZeroes = 124;  // behind the old reply to EXPORT_NAME
inline constexpr std::size_t kMaxStringBytes = 4096;   // the protocol's limit for any string

// --- transmission -------------------------------------------------------------------------------

inline constexpr std::uint32_t kRequestMagic = 0x25609513;
inline constexpr std::uint32_t kSimpleReplyMagic = 0x67446698;
inline constexpr std::uint32_t kStructuredReplyMagic = 0x668e33ef;

enum class Command : std::uint16_t {
  read = 0,
  write = 1,
  disconnect = 2,
  flush = 3,
  trim = 4,
  cache = 5,
  write_zeroes = 6,
  block_status = 7,
};

inline constexpr std::uint16_t kCommandFua = 1u << 0;
inline constexpr std::uint16_t kCommandNoHole = 1u << 1;        // write_zeroes
inline constexpr std::uint16_t kCommandDontFragment = 1u << 2;  // read

inline constexpr std::uint16_t kReplyDone = 1u << 0;  // the last chunk of a structured reply

enum class Chunk : std::uint16_t { none = 0, offset_data = 1, error = 0x8001 };

inline constexpr std::size_t kRequestHeaderBytes = 28;
inline constexpr std::size_t kSimpleReplyBytes = 16;
inline constexpr std::size_t kChunkHeaderBytes = 20;

// The largest payload of one request in either direction: what the protocol asks every server to
// take, and what we advertise. Larger requests are refused, and their bytes skipped.
inline constexpr std::uint32_t kMaxPayloadBytes = 32 * kMiB;

// The values that the protocol allows in an error field.
enum class ReplyError : std::uint32_t {
  none = 0,
  permission = 1,      // EPERM
  io = 5,              // EIO
  no_memory = 12,      // ENOMEM
  invalid = 22,        // EINVAL
  no_space = 28,       // ENOSPC
  overflow = 75,       // EOVERFLOW
  unsupported = 95,    // ENOTSUP
  shutting_down = 108  // ESHUTDOWN
};

// The nearest value that the protocol allows. The protocol keeps ENOTSUP for fast zeroes, so an
// unsupported operation is `invalid`; `out_of_range` depends on the operation and is decided where
// the range is checked (request_rules.h), here it is `invalid`.
ReplyError reply_error_from(Errc code) noexcept;

// A request header as it came, before any judgement.
struct RequestHeader {
  std::uint32_t magic = 0;
  std::uint16_t flags = 0;
  std::uint16_t command = 0;
  std::uint64_t cookie = 0;  // the client's own, returned in the reply
  std::uint64_t offset = 0;  // bytes
  std::uint32_t length = 0;  // bytes
};

// REQUIRES: at least kRequestHeaderBytes.
RequestHeader decode_request_header(ByteView bytes);
void encode_request_header(const RequestHeader& header, ByteSpan into);

struct OptionHeader {
  std::uint64_t magic = 0;
  std::uint32_t option = 0;
  std::uint32_t length = 0;  // bytes of data behind the header
};

// REQUIRES: at least kOptionHeaderBytes.
OptionHeader decode_option_header(ByteView bytes);

}  // namespace ashlar::nbd
