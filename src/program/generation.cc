// Pools by context, and the reserves that promise progress.
#include "program/generation.h"

namespace ashlar {

Generation::Generation(Channel& its_channel, Lane& its_lane, const Program& its_program,
                       std::pmr::memory_resource& memory)
    : channel(its_channel),
      lane(its_lane),
      program(its_program),
      steps(its_program.steps.data()),
      roots(its_program.frame_bytes, memory),
      reserve_in_use(std::make_unique<bool[]>(its_program.steps.size())) {
  for (std::size_t slot = 0; slot <= its_program.workers.size(); ++slot) {
    pools.emplace_back(its_program.frame_bytes, memory);
  }
}

Generation::~Generation() { ASHLAR_ASSERT(in_flight == 0); }

Result<void> Generation::prepare() {
  for (const Step& step : program.steps) pools[step.slot].reserved += step.max_children;
  bool enough = roots.ensure_free(1);
  for (ChildPool& each : pools) enough = enough && each.pool.ensure_free(each.reserved);
  if (enough) return {};
  return make_error(Errc::no_memory, "{}: no memory for the reserve of {} bytes a request",
                    program.top->name, program.frame_bytes);
}

}  // namespace ashlar
