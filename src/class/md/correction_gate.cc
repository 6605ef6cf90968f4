// Two lists under a lock; whoever may be waited for has all that wait try again.
#include "class/md/correction_gate.h"

#include <memory>

namespace ashlar {

void CorrectionGate::Local::attend(Context& cx) noexcept {
  MdLocal::attend(cx);
  Waiting changes;
  changes.splice_back(changes_);
  Waiting corrections;
  corrections.splice_back(corrections_);
  while (Entry* each = changes.pop_front()) {
    Bio& bio = *each->bio;
    std::destroy_at(each);
    cx.again(bio);
  }
  while (Entry* each = corrections.pop_front()) cx.ask_again(*each->bio);
}

bool CorrectionGate::any_overlaps(Entries& entries, const Entry& with) noexcept {
  for (Entry* each = entries.empty() ? nullptr : &entries.front(); each != nullptr;
       each = entries.next(*each)) {
    const bool apart =
        each->range.end() <= with.range.offset || with.range.end() <= each->range.offset;
    if (each != &with && !apart) return true;
  }
  return false;
}

std::uint64_t CorrectionGate::requests() const noexcept {
  std::uint64_t sum = 0;
  locals_.for_each([&](const Local& each) { sum += each.requests(); });
  return sum;
}

bool CorrectionGate::enter(Entry& change) noexcept {
  const MutexLock lock(mutex_);
  if (any_overlaps(corrections_, change)) return false;
  changes_.push_back(change);
  return true;
}

void CorrectionGate::leave(Entry& change) noexcept {
  {
    const MutexLock lock(mutex_);
    change.link.unlink();
    if (!any_overlaps(corrections_, change)) return;
  }
  locals_.request_attention();
}

bool CorrectionGate::lock(Entry& correction) noexcept {
  const MutexLock lock(mutex_);
  if (!correction.link.linked()) {
    if (any_overlaps(corrections_, correction)) return false;
    corrections_.push_back(correction);
  }
  return !any_overlaps(changes_, correction);
}

void CorrectionGate::unlock(Entry& correction) noexcept {
  {
    const MutexLock lock(mutex_);
    if (correction.link.linked()) correction.link.unlink();
  }
  locals_.request_attention();
}

}  // namespace ashlar
