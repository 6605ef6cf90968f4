// The transmission flags of an export; see export_directory.h.
#include "export/nbd/export_directory.h"

#include "export/nbd/protocol.h"

namespace ashlar::nbd {

std::uint16_t transmission_flags(const ExportInfo& info, bool structured_replies) noexcept {
  unsigned flags = kHasFlags;
  if (info.read_only) flags |= kReadOnly;
  if (info.can_flush) flags |= kSendFlush;
  if (info.can_fua) flags |= kSendFua;
  if (info.can_trim && !info.read_only) flags |= kSendTrim;
  if (info.can_write_zeroes && !info.read_only) flags |= kSendWriteZeroes;
  if (info.can_multi_conn) flags |= kCanMultiConn;
  if (structured_replies) flags |= kSendDontFragment;
  return static_cast<std::uint16_t>(flags);
}

}  // namespace ashlar::nbd
