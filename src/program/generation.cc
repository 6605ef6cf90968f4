// Pools by context, and the reserves that promise progress.
#include "program/generation.h"

#include <new>

#include "program/channel.h"
#include "program/hop.h"

namespace ashlar {

Generation::Generation(Channel& its_channel, Lane& its_lane, const Program& its_program,
                       std::pmr::memory_resource& memory)
    : lane(its_lane),
      program(its_program),
      steps(its_program.steps.data()),
      channel(its_channel),
      ops(its_channel.writable() ? its_program.ops : its_program.ops & OpSet::unwritten()),
      data_ops(ops.without(Op::flush)),
      roots(its_program.frame_bytes, memory),
      mail(std::make_unique<HopMail[]>(its_program.hops.size())),
      reserve_in_use(std::make_unique<bool[]>(2 * its_program.steps.size())) {
  for (std::size_t slot = 0; slot <= its_program.workers.size(); ++slot) {
    pools.emplace_back(its_program.frame_bytes, memory);
  }
  address_mail(program, lane, mail.get());
}

Generation::~Generation() {
  ASHLAR_ASSERT(in_flight() == 0);
  for (std::size_t i = 0; i < program.hops.size(); ++i) mail[i].down.sender->drop(mail[i].down);
  for (void* body : held_locals_) lane.locals().release(body);
}

// The lane's own steps only: a worker makes its states when it first needs them, and ends them with
// itself, which is before the bodies end.
Result<void> Generation::hold_locals() {
  for (std::size_t i = 0; i < program.steps.size(); ++i) {
    const MakeLocalFn make = program.infos[i].make_local;
    if (make == nullptr || steps[i].slot != 0) continue;
    try {
      held_locals_.reserve(held_locals_.size() + 1);
      lane.locals().hold(steps[i].body, make, lane);
    } catch (const std::bad_alloc&) {
      return make_error(Errc::no_memory, "{}: no memory for the lane's state of {}",
                        program.top->name, program.infos[i].provider->name);
    }
    held_locals_.push_back(steps[i].body);
  }
  return {};
}

Result<void> Generation::prepare() {
  for (std::size_t i = 0; i < program.steps.size(); ++i) {
    const std::uint64_t reserves = program.infos[i].builds_parts ? 2 : 1;
    pools[steps[i].slot].reserved += reserves * steps[i].max_children;
  }
  bool enough = roots.ensure_free(1);
  for (ChildPool& each : pools) enough = enough && each.pool.ensure_free(each.reserved);
  if (enough) return hold_locals();
  return make_error(Errc::no_memory, "{}: no memory for the reserve of {} bytes a request",
                    program.top->name, program.frame_bytes);
}

void Generation::begin_sample(const Bio& bio) noexcept {
  LatencySampler* sampler = channel.sampler();
  if (sampler == nullptr || sampled != nullptr) return;
  sampled = &bio;
  sampler->began_ = ticks();
}

void Generation::end_sample() noexcept {
  LatencySampler* sampler = channel.sampler();
  sampled = nullptr;
  if (sampler != nullptr) sampler->times_.add(ticks() - sampler->began_);
}

void Generation::count_layers(bool on) {
  if (on && all_counts_ == nullptr) {
    all_counts_ = std::make_unique<LayerCount[]>(program.steps.size());
  }
  counts = on ? all_counts_.get() : nullptr;
}

}  // namespace ashlar
