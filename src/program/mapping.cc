// What a mapping step does.
#include "program/mapping.h"

#include "bio/unmapped.h"

namespace ashlar {
namespace {

// Flushes and the like have nothing to map; a request from elsewhere has mapped memory.
Verdict on_request(void*, Bio& bio, void*, Context&) noexcept {
  if ((bio.flags & kUnmapped) == 0 || !has_payload(bio.op)) return Verdict::forward(0);
  const Errc error = map_payload(bio.payload, bio.length, bio.op == Op::read);
  if (error == Errc::ok) return Verdict::forward(0);
  bio.fail(error);
  return Verdict::done();
}

}  // namespace

StepCode mapping_code() {
  StepCode code;
  code.on_request = &on_request;
  return code;
}

}  // namespace ashlar
