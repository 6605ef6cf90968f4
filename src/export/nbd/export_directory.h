// What the NBD negotiation asks of whoever has the devices: which exports there are, and what each
// of them can do.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace ashlar::nbd {

// Facts of one export, as they are told to a client.
struct ExportInfo {
  std::string name;         // canonical; at most 4096 bytes of UTF-8
  std::string description;  // for people; may be empty
  std::uint64_t size_bytes = 0;
  std::uint32_t minimum_block_bytes = 1;       // a power of two, at most 65536
  std::uint32_t preferred_block_bytes = 4096;  // a power of two, at least 512 and the minimum
  std::uint32_t maximum_payload_bytes = 32u << 20;
  bool read_only = true;
  bool can_flush = false;
  bool can_fua = false;
  bool can_trim = false;
  bool can_write_zeroes = false;
  bool can_multi_conn = false;  // a flush on one connection covers the writes of all
};

// The transmission flags that describe `info`; the flag that allows "don't fragment" belongs to
// structured replies and is added where those were negotiated.
std::uint16_t transmission_flags(const ExportInfo& info, bool structured_replies) noexcept;

// THREAD: called by each connection in the context of its lane; an implementation that changes
// while connections negotiate guards itself.
class ExportDirectory {
 public:
  virtual ~ExportDirectory() = default;

  // The names to list, canonical ones only.
  virtual std::vector<std::string> names() const = 0;

  // The export that `name` (canonical, an alias, or "" for the default one) stands for, or nothing.
  virtual std::optional<ExportInfo> find(std::string_view name) const = 0;

  // The client wants to use it. Here a device is opened, which may be refused: not_found where
  // there is no such export, anything else with a sentence for the client. The facts may be more
  // exact than those of find().
  virtual Result<ExportInfo> choose(std::string_view name) = 0;
};

}  // namespace ashlar::nbd
