// Which transmission requests an export takes, and with which error the others are answered.
//
// SOURCE: NetworkBlockDevice/nbd, doc/proto.md, "Request types", "Command flags", "Error values".
// THREAD: values and pure functions.
#pragma once

#include <cstdint>
#include <string_view>

#include "export/nbd/export_directory.h"
#include "export/nbd/protocol.h"

namespace ashlar::nbd {

// What was agreed with one client about one export.
struct RequestRules {
  std::uint64_t size_bytes = 0;
  std::uint32_t minimum_block_bytes = 1;  // a power of two
  std::uint16_t transmission_flags = kHasFlags;
  bool structured_replies = false;
};

RequestRules rules_for(const ExportInfo& info, bool structured_replies) noexcept;

// `error` is none where the request is fine; `reason` is a short phrase for the client's user.
struct Refusal {
  ReplyError error = ReplyError::none;
  std::string_view reason;

  explicit operator bool() const noexcept { return error != ReplyError::none; }
};

// Judges everything but the magic number. The errors are those that the protocol asks for: a write
// past the end is `no_space`, a read or trim there `invalid`, a change of a read-only export
// `permission`; an unknown command, flag or alignment `invalid`.
Refusal check_request(const RequestHeader& header, const RequestRules& rules) noexcept;

}  // namespace ashlar::nbd
