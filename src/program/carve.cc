// Step 0 of every program: requests longer than the device takes, a batch of pieces at a time.
#include "program/carve.h"

#include <algorithm>

#include "program/lookup.h"
#include "program/split.h"

namespace ashlar {
namespace {

struct CarvePad {
  std::uint64_t carved;  // bytes that have been given to children so far
};

Verdict carve_next(const Program& program, Bio& bio, CarvePad& pad, Context& cx) noexcept {
  const std::uint64_t most =
      has_payload(bio.op) ? program.max_request_bytes : program.max_range_bytes;
  Split split(cx, bio);
  for (unsigned i = 0; i < kMaxPieces && pad.carved < bio.length; ++i) {
    const std::uint64_t piece = std::min(most, bio.length - pad.carved);
    split.add(0, bio.offset + pad.carved, pad.carved, piece);
    pad.carved += piece;
  }
  return split.verdict();
}

Verdict on_request(void* body, Bio& bio, void* raw, Context& cx) noexcept {
  auto& pad = *static_cast<CarvePad*>(raw);
  pad.carved = 0;
  return carve_next(*static_cast<const Program*>(body), bio, pad, cx);
}

Verdict on_complete(void* body, Bio& bio, void* raw, Context& cx) noexcept {
  auto& pad = *static_cast<CarvePad*>(raw);
  if (bio.error != Errc::ok) return Verdict::done();
  if (pad.carved == bio.length) {
    bio.succeed();
    return Verdict::done();
  }
  if (bio.cancel_requested()) {
    bio.fail(Errc::cancelled);
    return Verdict::done();
  }
  return carve_next(*static_cast<const Program*>(body), bio, pad, cx);
}

}  // namespace

StepCode carve_code(Program& program) {
  StepCode code;
  code.body = &program;
  code.on_request = &on_request;
  code.on_complete = &on_complete;
  code.pad_bytes = sizeof(CarvePad);
  code.max_children = kMaxPieces;
  return code;
}

}  // namespace ashlar
