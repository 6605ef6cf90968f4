// The flush before a close.
#include "node/closing.h"

#include <algorithm>

#include "program/channel.h"
#include "program/explain.h"
#include "program/lane.h"

namespace ashlar {
namespace {

// A device that does not answer for so long keeps nobody from closing it.
constexpr std::uint64_t kPatienceNs = 60'000'000'000;

bool some_wants_flush(const Program& program) {
  return std::any_of(program.infos.begin(), program.infos.end(), [](const StepInfo& info) {
    return info.kind == StepKind::geom && info.provider != nullptr &&
           info.provider->geom->body().wants_flush();
  });
}

}  // namespace

Result<void> flush_what_is_dirty(Lane& lane, const Program& program, const Provider& device) {
  if (device.orphaned != Errc::ok || !some_wants_flush(program)) return {};
  const std::string& name = device.name;
  auto channel = Channel::open(lane, program, {.writable = true});
  if (!channel) return channel.error();
  Bio* const bio = (*channel)->allocate();
  if (bio == nullptr) return make_error(Errc::no_memory, "{}: no memory", name);
  bool ended = false;
  bio->op = Op::flush;
  bio->flags = kQuiet;
  bio->offset = 0;
  bio->length = 0;
  bio->payload = {};
  bio->user = &ended;
  bio->end_io = [](Bio& done) noexcept { *static_cast<bool*>(done.user) = true; };
  const std::uint64_t deadline = lane.now_ns() + kPatienceNs;
  (*channel)->submit(*bio);
  bool late = false;
  while (!ended) {
    lane.wait(late ? -1 : 100);
    if (ended || late || lane.now_ns() < deadline) continue;
    late = true;
    lane.cancel(*bio);
  }
  Result<void> outcome;
  if (late && !bio->ok()) {
    outcome = make_error(Errc::timed_out, "{}: it was closed, and had not been flushed in {} s",
                         name, kPatienceNs / 1'000'000'000);
  } else if (!bio->ok()) {
    outcome = make_error(bio->error, "{}: it was closed, and could not be flushed: {}", name,
                         describe_failure(program, *bio, 0));
  }
  (*channel)->release(*bio);
  return outcome;
}

}  // namespace ashlar
