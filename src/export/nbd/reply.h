// The replies of the transmission phase, encoded into memory of the caller.
//
// A successful read is a header followed by the payload, which the caller sends from where it lies.
// Everything else is a header alone, or a header with an error's text where the client negotiated
// structured replies. A request without payload is acknowledged with a simple reply in both modes:
// the protocol allows it, and it is the shortest.
//
// SOURCE: NetworkBlockDevice/nbd, doc/proto.md, "Simple reply message" and "Structured reply
// types". THREAD: pure functions.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "base/bytes.h"
#include "export/nbd/protocol.h"
#include "export/nbd/request_rules.h"

namespace ashlar::nbd {

// The longest header of a successful reply: a chunk header and the offset of its data.
inline constexpr std::size_t kMaxSuccessBytes = kChunkHeaderBytes + 8;
// An error's text is cut here: a sentence, not a log.
inline constexpr std::size_t kMaxErrorTextBytes = 200;
inline constexpr std::size_t kMaxErrorBytes = kChunkHeaderBytes + 6 + kMaxErrorTextBytes;

// Encodes the header of the reply to a request that succeeded; the `length` bytes of a read follow
// it on the wire, all in one chunk. Returns its length in bytes. REQUIRES: room for
// kMaxSuccessBytes.
std::size_t encode_success(const RequestHeader& request, bool structured, ByteSpan into);

// Encodes the whole reply to a request that failed. Returns its length in bytes.
// REQUIRES: room for kMaxErrorBytes, an error.
std::size_t encode_error(const RequestHeader& request, bool structured, const Refusal& refusal,
                         ByteSpan into);

}  // namespace ashlar::nbd
