// StepGuard: what the framework puts around each call of a class, so that the witness sees a lock
// that is carried into or out of it, a call in it that may block, and one that takes too long
// (base/inline_scope.h). In release builds it is an empty class and nothing is computed.
//
//   const StepGuard guard("on_request", bio);
//   verdict = step->on_request(...);
#pragma once

#include "base/inline_scope.h"
#include "program/generation.h"

namespace ashlar {

#if ASHLAR_WITNESS

class StepGuard {
 public:
  // REQUIRES: `bio` is at the step that is about to be called. It is not looked at afterwards: a
  // hop may have given it away.
  StepGuard(const char* call, const Bio& bio) noexcept : scope_(work_of(call, bio)) {}

 private:
  static InlineWork work_of(const char* call, const Bio& bio) noexcept {
    const StepInfo& info = bio.home->program.infos[static_cast<std::size_t>(bio.pc)];
    switch (info.kind) {
      case StepKind::geom:
        break;
      case StepKind::lookup:
        return {call, "(lookup)"};
      case StepKind::carve:
        return {call, "(carve)"};
      case StepKind::hop:
        return {call, "(hop)"};
      case StepKind::mapping:
        return {call, "(mapping)"};
      case StepKind::lost:
        return {call, "(lost consumer)"};
    }
    if (info.provider == nullptr || info.provider->geom == nullptr) return {call, "(step)"};
    const ClassFacts& facts = info.provider->geom->facts();
    return {call, facts.name, facts.placement == Placement::detached};
  }

  const InlineScope scope_;
};

#else

class StepGuard {
 public:
  constexpr StepGuard(const char*, const Bio&) noexcept {}
};

#endif

}  // namespace ashlar
