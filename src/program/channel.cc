// Opening, the unusual entries, foreign bios by clone, and change of program.
#include "program/channel.h"

#include <algorithm>

namespace ashlar {

Result<std::unique_ptr<Channel>> Channel::open(Lane& lane, const Program& program,
                                               const ChannelOptions& options) {
  std::pmr::memory_resource& memory =
      options.memory != nullptr ? *options.memory : *std::pmr::new_delete_resource();
  std::unique_ptr<Channel> channel(new Channel(lane, options, memory));
  ++lane.channels_;
  auto ready = channel->replace(program);
  if (ready) return channel;
  channel->listener_ = nullptr;  // it was never there
  return ready.error();
}

Channel::~Channel() {
  ASHLAR_ASSERT(in_flight() == 0);
  ASHLAR_ASSERT(waiting_.empty());
  old_.clear();
  current_.reset();
  --lane_.channels_;
  if (listener_ != nullptr) listener_->on_closed(*this);
}

std::uint64_t Channel::in_flight() const noexcept {
  std::uint64_t count = current_ != nullptr ? current_->in_flight() : 0;
  for (const auto& each : old_) count += each->in_flight();
  return count;
}

Result<void> Channel::replace(const Program& program) {
  auto fresh = std::make_unique<Generation>(*this, lane_, program, memory_);
  if (auto ready = fresh->prepare(); !ready) return ready;
  if (counting_) fresh->count_layers(true);
  if (sampler_ != nullptr) fresh->sample_mask = sampler_->every() - 1;
  if (current_ != nullptr) {
    current_->retired = true;
    earlier_ += current_->started;
    old_.push_back(std::move(current_));
  }
  current_ = std::move(fresh);
  drop_retired();
  return {};
}

Result<void> Channel::count_layers(bool on) {
  try {
    current_->count_layers(on);
  } catch (const std::bad_alloc&) {
    return make_error(Errc::no_memory, "{}: no memory for counters", program().top->name);
  }
  counting_ = on;
  return {};
}

std::span<const LayerCount> Channel::layer_counts() const noexcept {
  const LayerCount* counts = current_->layer_counts();
  return {counts, counts == nullptr ? 0 : program().steps.size()};
}

Result<void> Channel::measure_latency(std::uint64_t every) {
  try {
    current_->sampled = nullptr;
    sampler_ = every == 0 ? nullptr : std::make_unique<LatencySampler>(every);
  } catch (const std::bad_alloc&) {
    return make_error(Errc::no_memory, "{}: no memory for a histogram", program().top->name);
  }
  current_->sample_mask = every == 0 ? ~0ull : sampler_->every() - 1;
  return {};
}

std::optional<FileRange> Channel::plain_file(std::uint64_t offset,
                                             std::uint64_t length) const noexcept {
  const Program& program = current_->program;
  const Edge& entry = program.entry;
  const FileRangeFn ask = program.infos[static_cast<std::size_t>(entry.target)].file_range;
  if (ask == nullptr || program.dispatch == Dispatch::queued) return std::nullopt;
  if (current_->counts != nullptr || sampler_ != nullptr) return std::nullopt;
  if (!current_->data_ops.has(Op::read) || !fits(program, offset, length)) return std::nullopt;
  return ask(entry.step->body, offset + entry.add_bytes, length);
}

void Channel::begin_own_read(Bio& bio) noexcept {
  ASHLAR_ASSERT(bio.state == BioState::idle && bio.home == current_.get());
  bio.state = BioState::held;
  ++current_->started;
}

void Channel::end_own_read(Bio& bio) noexcept {
  ASHLAR_ASSERT(bio.state == BioState::held);
  bio.state = BioState::idle;
  ++bio.home->ended;
}

bool Channel::uses(const Program& program) const noexcept {
  const auto same = [&](const auto& each) { return &each->program == &program; };
  return same(current_) || std::any_of(old_.begin(), old_.end(), same);
}

void Channel::drop_retired() noexcept {
  const std::size_t dropped = std::erase_if(old_, [](const auto& each) {
    return each->in_flight() == 0 && each->roots.free_count() == each->roots.total();
  });
  if (dropped > 0 && listener_ != nullptr) listener_->on_retired(*this);
}

bool Channel::accept_unusual(Bio& bio, const Generation& home) noexcept {
  const Program& program = home.program;
  const auto refused = [&](Errc code) {
    bio.fail(code);
    return false;
  };
  if (!home.ops.has(bio.op)) {
    const bool only_closed = program.ops.has(bio.op);
    return refused(only_closed ? Errc::read_only : Errc::unsupported);
  }
  if ((bio.flags & ~kAllFlags) != 0) return refused(Errc::invalid);
  if ((bio.flags & kFua) != 0 && (!changes_data(bio.op) || !home.ops.fua())) {
    return refused(Errc::unsupported);
  }
  if ((bio.flags & kCheck) != 0 && bio.op != Op::repair) return refused(Errc::invalid);
  const bool mends = bio.op == Op::repair && (bio.flags & kCheck) == 0;
  if (mends && !home.ops.has(Op::write)) return refused(Errc::read_only);
  if ((bio.flags & kQuiet) != 0 && bio.op != Op::flush) return refused(Errc::invalid);
  if ((bio.flags & kUnmapped) != 0 && !program.maps_payloads) return refused(Errc::unsupported);
  if (bio.op == Op::flush && (bio.offset != 0 || bio.length != 0)) return refused(Errc::invalid);
  if (((bio.offset | bio.length) & program.entry.align_mask) != 0) return refused(Errc::invalid);
  if (!within(bio.offset, bio.length, program.entry.size_bytes)) {
    return refused(Errc::out_of_range);
  }
  if (bio.length == 0 && bio.op != Op::flush) return false;  // Done: there is nothing to do.
  const bool payload = has_payload(bio.op);
  if (payload && bio.length > kMaxRequestBytes) return refused(Errc::invalid);
  const bool whole = bio.length <= (payload ? program.max_request_bytes : program.max_range_bytes);
  const Edge& entry = whole ? program.entry : program.carve_entry;
  if (bio.op != Op::flush) bio.offset += entry.add_bytes;
  bio.pc = entry.target;
  return true;
}

void Channel::end_early(Bio& bio) noexcept {
  fault_of(bio) = Fault{.step = kNoStep, .program = 0, .offset = bio.offset};
  // No step has seen it: the walk up from the first step ends the bio at once.
  bio.pc = 0;
  bio.direction = BioDirection::up;
  lane_.start(bio);
}

// A bio without the room, or one of another pool: a clone with the right frame stands
// in for it. The original's `children` leads to the clone, for cancelling.
void Channel::submit_clone(Bio& original) noexcept {
  ++short_frames_;
  original.foreign = true;
  original.state = BioState::held;
  original.children = nullptr;
  Bio* clone = allocate();
  if (clone == nullptr) {
    ++shortages_;
    original.state = BioState::queued;
    waiting_.push_back(original);
    return;
  }
  start_clone(original, *clone);
}

void Channel::start_clone(Bio& original, Bio& clone) noexcept {
  original.state = BioState::held;
  original.children = &clone;
  clone.op = original.op;
  clone.flags = original.flags;
  clone.offset = original.offset;
  clone.length = original.length;
  clone.payload = original.payload;
  clone.user = &original;
  clone.end_io = &Channel::end_clone;
  submit(clone);
}

void Channel::end_clone(Bio& clone) noexcept {
  Bio& original = *static_cast<Bio*>(clone.user);
  Channel& channel = clone.home->channel;
  original.error = clone.error;
  original.done = clone.done;
  if (original.has_frame() && !clone.ok()) fault_of(original) = fault_of(clone);
  original.children = nullptr;
  original.foreign = false;
  original.state = BioState::idle;
  channel.release(clone);
  original.end_io(original);
}

// A bio came back: room for one that waits.
void Channel::after_release() noexcept {
  drop_retired();
  if (waiting_.empty()) return;
  Bio* fresh = allocate();
  if (fresh != nullptr) start_clone(*waiting_.pop_front(), *fresh);
}

void Channel::cancel_foreign(Bio& original) noexcept {
  if (original.children != nullptr) {
    Bio& clone = *original.children;
    clone.home->lane.cancel(clone);
    return;
  }
  // Still waiting for a clone: it has not started.
  original.queue.unlink();
  original.foreign = false;
  original.state = BioState::idle;
  original.fail(Errc::cancelled);
  if (original.has_frame()) fault_of(original) = {};
  original.end_io(original);
}

}  // namespace ashlar
