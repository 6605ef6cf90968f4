// The lives of a stack, and what is looked at after each.
#include "sim/run.h"

#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <memory_resource>
#include <new>

#include "program/compiler.h"
#include "sim/disk_class.h"
#include "sim/load.h"

namespace ashlar::sim {
namespace {

constexpr std::uint64_t kMostLives = 3;
// Past so many turns without an end, requests are taken for lost.
constexpr std::uint64_t kPatience = 1'000'000;
constexpr std::uint64_t kPieceBytes = 32 * kKiB;
constexpr std::uint64_t kMostHurry = 100;  // turns

// Memory for bios, which may come to an end.
class Memory final : public std::pmr::memory_resource {
 public:
  void exhaust() { exhausted_ = true; }

 private:
  void* do_allocate(std::size_t bytes, std::size_t alignment) override {
    if (exhausted_) throw std::bad_alloc();
    return std::pmr::new_delete_resource()->allocate(bytes, alignment);
  }
  void do_deallocate(void* memory, std::size_t bytes, std::size_t alignment) override {
    std::pmr::new_delete_resource()->deallocate(memory, bytes, alignment);
  }
  bool do_is_equal(const memory_resource& other) const noexcept override { return this == &other; }

  bool exhausted_ = false;
};

// A stack that stands: a topology, programs, and a channel on each lane.
struct Standing {
  ~Standing() {
    channels.clear();
    programs.clear();
    if (user != nullptr) topology.detach(user);
  }

  Topology topology;
  Provider* top = nullptr;
  Consumer* user = nullptr;
  Memory memory;
  std::vector<std::unique_ptr<Program>> programs;  // the last is the one in use
  std::vector<std::unique_ptr<Channel>> channels;  // first to go
};

class Run {
 public:
  explicit Run(const RunOptions& options)
      : trace_(options.sink),
        random_(options.seed),
        honest_(options.faults == FaultSetting::honest),
        find_(options.find),
        make_timekeeper_(options.make_timekeeper),
        plan_(random_.next(), options.faults, options.stacks, find_, trace_),
        world_(random_.next(), trace_),
        dispatch_(random_.one_in(3) ? Dispatch::queued : Dispatch::direct) {
    const std::uint64_t lanes = 1 + random_.below(2);
    for (std::uint64_t i = 0; i < lanes; ++i) lanes_.push_back(&world_.add_lane());
  }

  // Requests are left that never end: nothing beneath them can be taken down.
  bool stuck() const { return stuck_; }

  RunResult result() {
    const std::uint64_t lives = 1 + random_.below(kMostLives);
    for (std::uint64_t i = 0; i < lives && !failure_ && !over_; ++i) life();
    RunResult result;
    result.arrays = plan_.has_arrays() ? 1 : 0;
    result.resyncs = resyncs_;
    result.insisted = insisted_ ? 1 : 0;
    result.lost = plan_.refusal() ? 1 : 0;
    result.hash = trace_.hash();
    result.failure = failure_;
    result.stack =
        fmt::format("{}, {} lane{}: {}", dispatch_ == Dispatch::direct ? "direct" : "queued",
                    lanes_.size(), lanes_.size() == 1 ? "" : "s", plan_.description());
    result.events = trace_.events();
    result.requests = requests_;
    result.timed_out = timed_out_;
    result.cuts = cuts_;
    result.simulated_ns = world_.now_ns();
    return result;
  }

 private:
  std::unique_ptr<Standing> stand(std::uint32_t view, std::uint32_t left_out, std::size_t lanes);
  Result<std::unique_ptr<Program>> compiled(Provider& top, Dispatch dispatch);
  void replace_program(Standing& standing);
  void life();
  void under_load(Standing& standing, Load& load);
  void turn(Load& load);
  std::uint64_t failures() const;
  void lose_a_disk(Standing& standing);
  void cut_power();
  void inspect_log(const Plan::Log& log, ByteView shown);
  void wait_for(Load& load);
  void inspect();
  void inspect_views();
  void inspect(std::uint32_t view, std::uint32_t left_out);
  void inspect_piece(Standing& standing, Extent extent);
  void survivors(Standing& standing, Extent extent, ByteView bytes);
  void look_after_arrays();
  bool resync(Standing& standing, PlanNode& node);
  bool carry_out(Channel& channel, Upkeep& upkeep, const UpkeepJob& job);
  void check_arrays();
  void check_array(Standing& standing, PlanNode& node);
  void power_on();
  bool read(Channel& channel, Extent extent, ByteSpan into) {
    const Segment segment{into.data(), into.size()};
    return request(channel, Op::read, 0, extent, {&segment, 1, 0});
  }
  bool request(Channel& channel, Op op, std::uint8_t flags, Extent extent, Payload payload = {});

  Trace trace_;
  Random random_;
  const bool honest_;
  const FindClass find_;
  const MakeTimekeeper make_timekeeper_;
  Plan plan_;
  World world_;
  const Dispatch dispatch_;
  std::vector<Lane*> lanes_;
  std::unique_ptr<Model> model_;
  std::unique_ptr<Standing> standing_;
  std::unique_ptr<Load> load_;
  std::optional<std::string> failure_;
  bool stuck_ = false;
  bool over_ = false;  // what is left cannot be looked at
  bool insisted_ = false;
  bool closed_ = false;       // the last life ended with nothing under way, and was told so
  std::uint64_t cut_in_ = 0;  // requests, while arrays are resynced; 0: no power cut
  bool power_is_off_ = false;
  std::uint64_t resyncs_ = 0;
  std::uint64_t requests_ = 0;
  std::uint64_t timed_out_ = 0;
  std::uint64_t cuts_ = 0;
};

// Null: an array of it is refused.
std::unique_ptr<Standing> Run::stand(std::uint32_t view, std::uint32_t left_out,
                                     std::size_t lanes) {
  auto standing = std::make_unique<Standing>();
  standing->top = plan_.assemble(standing->topology, view, left_out);
  if (plan_.complaint() && honest_) failure_ = plan_.complaint();
  if (standing->top == nullptr) return nullptr;
  standing->user = standing->topology.attach(*standing->top, "sim");
  const auto opened = standing->topology.set_access(*standing->user, {1, 1, 0});
  ASHLAR_ASSERT(opened.ok());
  standing->programs.push_back(compiled(*standing->top, dispatch_).value());
  const ChannelOptions options{.writable = true, .memory = &standing->memory};
  for (std::size_t i = 0; i < lanes; ++i) {
    standing->channels.push_back(
        Channel::open(*lanes_[i], *standing->programs[0], options).value());
  }
  return standing;
}

Result<std::unique_ptr<Program>> Run::compiled(Provider& top, Dispatch dispatch) {
  return compile(top, {.dispatch = dispatch, .clock = &world_.clock(), .workers = &world_});
}

// New requests run a program that was compiled anew, in either dispatch; the others theirs.
void Run::replace_program(Standing& standing) {
  auto fresh = compiled(*standing.top, random_.one_in(2) ? Dispatch::queued : Dispatch::direct);
  if (!fresh) return;  // the device is gone
  trace_.event(world_.now_ns(), "replace", {});
  for (const auto& each : standing.channels) {
    // Without memory all stays as it is.
    static_cast<void>(each->replace(**fresh));
  }
  standing.programs.push_back(std::move(*fresh));
}

void Run::life() {
  plan_.clear_logs();
  standing_ = stand(Plan::kAllLegs, 0, lanes_.size());
  if (standing_ == nullptr) {
    over_ = true;
    return;
  }
  closed_ = false;
  if (model_ == nullptr) model_ = std::make_unique<Model>(standing_->top->size_bytes);
  std::vector<Channel*> channels;
  for (const auto& each : standing_->channels) channels.push_back(each.get());
  load_ = std::make_unique<Load>(random_.next(), world_, *model_, channels, plan_.troubled(),
                                 make_timekeeper_);
  if (plan_.has_arrays()) load_->expect_shields();
  if (plan_.has_copies()) load_->expect_copies();
  under_load(*standing_, *load_);
  cut_power();
  load_->go_blind();
  wait_for(*load_);
  requests_ += load_->counts().requests;
  timed_out_ += load_->counts().timed_out;
  if (load_->failure()) failure_ = load_->failure();
  if (stuck_) return;
  load_.reset();
  standing_.reset();
  if (!failure_) inspect();
}

// To a point that the seed says: in the midst of it, or when all is quiet.
void Run::under_load(Standing& standing, Load& load) {
  const std::uint64_t wanted = 1 + random_.below(random_.one_in(4) ? 300 : 80);
  const std::uint64_t loses_at =
      plan_.troubled() && random_.one_in(4) ? random_.below(wanted) : wanted;
  const std::uint64_t cancel_odds = random_.one_in(2) ? 12 : 1'000'000;
  const std::uint64_t replace_odds = random_.one_in(4) ? 40 : 1'000'000;
  const std::uint64_t rush = 1 + random_.below(6);
  if (random_.one_in(4)) {
    standing.memory.exhaust();
    trace_.event(world_.now_ns(), "exhaust", {});
    load.expect_waits();
  }
  // So soon after a disk has failed a request the power goes: what must have been recorded by then?
  const bool hurried = plan_.has_arrays() && plan_.troubled() && random_.one_in(2);
  const std::uint64_t failed_before = failures();
  std::uint64_t left = random_.below(kMostHurry);
  std::uint64_t submitted = 0;
  while (submitted < wanted && !load.failure() && !stuck_) {
    if (hurried && failures() != failed_before && left-- == 0) return;
    if (random_.below(8) < rush && load.submit_one()) {
      if (submitted++ == loses_at) lose_a_disk(standing);
    } else {
      turn(load);
    }
    if (random_.one_in(cancel_odds)) load.cancel_one();
    if (random_.one_in(replace_odds)) replace_program(standing);
  }
  if (random_.one_in(2)) return;
  wait_for(load);
  const bool quiet = random_.one_in(2);
  const std::uint64_t failed = load.counts().failed;
  if (load.failure() || random_.one_in(2) || !load.submit_flush(quiet)) return;
  wait_for(load);
  // A change of copies that was cancelled midway leaves them to be resynced.
  const bool whole = load.counts().failed == (plan_.has_copies() ? 0 : failed);
  closed_ = quiet && !plan_.troubled() && whole;
}

std::uint64_t Run::failures() const {
  std::uint64_t count = 0;
  for (const auto& each : plan_.disks()) count += each->failures();
  return count;
}

void Run::turn(Load& load) {
  if (world_.step() || load.under_way() == 0) return;
  stuck_ = true;
  failure_ = fmt::format("{} requests never end", load.under_way());
}

void Run::lose_a_disk(Standing& standing) {
  std::vector<Geom*> leaves;
  for (const auto& each : standing.topology.geoms()) {
    if (each->consumers().empty()) leaves.push_back(each.get());
  }
  Geom& lost = *leaves[random_.below(leaves.size())];
  trace_.event(world_.now_ns(), "gone", {disk_of(lost).number()});
  standing.topology.orphan(*lost.providers().front(), Errc::gone);
}

void Run::cut_power() {
  ++cuts_;
  plan_.note_dropped_legs();
  model_->cut();
  std::vector<std::vector<std::byte>> shown;
  for (const Plan::Log& each : plan_.logs()) {
    const ByteView current = each.disk->current();
    shown.emplace_back(current.begin(), current.end());
  }
  for (const auto& each : plan_.disks()) each->cut_power(world_.now_ns());
  for (std::size_t i = 0; i < shown.size() && honest_; ++i) inspect_log(plan_.logs()[i], shown[i]);
}

// A log is not flushed: what its disk still has in a cache need not survive. There it is looked at
// as the disk showed it just before, which is what a program that dies leaves.
void Run::inspect_log(const Plan::Log& log, ByteView shown) {
  if (!log.watch->stands() || failure_) return;
  const bool cached = log.disk->options().write_cache;
  auto wrong = log.watch->check(cached ? shown : ByteView(log.disk->medium()));
  if (wrong) failure_ = fmt::format("the log on disk{}: {}", log.disk->number(), *wrong);
}

void Run::wait_for(Load& load) {
  std::uint64_t turns = 0;
  while (load.under_way() != 0 && !stuck_) {
    turn(load);
    ASHLAR_ASSERT(++turns < kPatience);
  }
}

// --- after the cut -------------------------------------------------------------------------------

void Run::power_on() {
  for (const auto& each : plan_.disks()) {
    each->power_on();
    each->set_calm(true);
  }
  power_is_off_ = false;
}

void Run::inspect() {
  power_on();
  inspect_views();
  if (!failure_) model_->adopt_survivors();
  if (plan_.has_arrays() && !failure_ && !over_) look_after_arrays();
  for (const auto& each : plan_.disks()) each->set_calm(false);
}

void Run::inspect_views() {
  for (std::uint32_t view = 0; view < plan_.views() && !failure_ && !over_; ++view) {
    inspect(view, 0);
  }
  if (plan_.views() > 1 && !failure_ && !over_) inspect(Plan::kAllLegs, 0);
}

void Run::inspect(std::uint32_t view, std::uint32_t left_out) {
  trace_.event(world_.now_ns(), "inspect", {view, left_out});
  const auto standing = stand(view, left_out, 1);
  if (standing == nullptr || failure_) {
    over_ = true;
    return;
  }
  if (plan_.insisted()) insisted_ = over_ = true;
  const std::uint64_t size = standing->top->size_bytes;
  for (std::uint64_t at = 0; at < size && !failure_; at += kPieceBytes) {
    inspect_piece(*standing, {at, std::min(kPieceBytes, size - at)});
  }
}

// A read may fail only where no disk that answers has the bytes.
void Run::inspect_piece(Standing& standing, Extent extent) {
  std::vector<std::byte> bytes(extent.length);
  Channel& channel = *standing.channels.front();
  if (read(channel, extent, bytes)) {
    survivors(standing, extent, bytes);
    return;
  }
  const std::uint64_t block = plan_.block_bytes();
  for (std::uint64_t at = extent.offset; at < extent.end() && !failure_; at += block) {
    const ByteSpan here = ByteSpan(bytes).first(block);
    if (read(channel, {at, block}, here)) {
      survivors(standing, {at, block}, here);
    } else if (Plan::reachable(*standing.top, at)) {
      failure_ = fmt::format("after the power cut: byte {} cannot be read, but a disk has it", at);
    }
  }
}

// What an array that was dirty and degraded has computed may be anything.
void Run::survivors(Standing& standing, Extent extent, ByteView bytes) {
  if (!plan_.insisted()) {
    failure_ = model_->check_survivors(extent, bytes);
    return;
  }
  for (std::uint64_t at = 0; at < extent.length && !failure_; at += kSectorBytes) {
    if (plan_.uncertain(*standing.top, extent.offset + at)) continue;
    failure_ = model_->check_survivors({extent.offset + at, kSectorBytes},
                                       bytes.subspan(at, kSectorBytes));
  }
}

bool Run::request(Channel& channel, Op op, std::uint8_t flags, Extent extent, Payload payload) {
  Bio* bio = channel.allocate();
  ASHLAR_ASSERT(bio != nullptr);
  bool ended = false;
  bio->op = op;
  bio->flags = flags;
  bio->offset = extent.offset;
  bio->length = extent.length;
  bio->payload = payload;
  bio->user = &ended;
  bio->end_io = [](Bio& done) noexcept { *static_cast<bool*>(done.user) = true; };
  channel.submit(*bio);
  while (!ended) {
    if (cut_in_ != 0 && --cut_in_ == 0) {
      for (const auto& each : plan_.disks()) each->cut_power(world_.now_ns());
      power_is_off_ = true;
    }
    const bool goes_on = world_.step();
    ASHLAR_ASSERT(goes_on || ended);
  }
  const bool ok = bio->ok();
  channel.release(*bio);
  return ok;
}

// --- arrays --------------------------------------------------------------------------------------

// As whoever looks after them does, sometimes with a power cut in the middle.
void Run::look_after_arrays() {
  if (random_.one_in(3)) cut_in_ = 1 + random_.below(400);
  if (auto standing = stand(Plan::kAllLegs, 0, 1); standing != nullptr && !failure_) {
    for (PlanNode* each : plan_.arrays()) {
      if (closed_ && each->array->dirty) {
        failure_ = fmt::format("{} is dirty, and was told that nobody writes", each->name);
      }
      if (!failure_ && !power_is_off_ && !resync(*standing, *each)) {
        failure_ = fmt::format("{} cannot be resynced", each->name);
      }
    }
  }
  cut_in_ = 0;
  closed_ = false;
  if (failure_ || plan_.refusal()) return;
  if (power_is_off_) {
    ++cuts_;
    power_on();
    inspect_views();
    if (!failure_ && !over_) look_after_arrays();
    return;
  }
  check_arrays();
}

// False: it did not come to its end, though the power is on.
bool Run::resync(Standing& standing, PlanNode& node) {
  Provider& device = *node.geom->providers().front();
  Upkeep* const upkeep = node.geom->body().upkeep();
  if (upkeep == nullptr) return true;
  standing.programs.push_back(compiled(device, dispatch_).value());
  const auto channel =
      Channel::open(*lanes_[0], *standing.programs.back(), {.writable = true}).value();
  for (int i = 0; i < 3; ++i) {
    const auto job = upkeep->due();
    if (!job) break;
    ++resyncs_;
    trace_.event(world_.now_ns(), "resync", {job->ranges.size()});
    if (!carry_out(*channel, *upkeep, *job)) return power_is_off_;
    upkeep->finish(*job);
  }
  return request(*channel, Op::flush, kQuiet, {}) || power_is_off_;
}

bool Run::carry_out(Channel& channel, Upkeep& upkeep, const UpkeepJob& job) {
  const std::uint64_t step = upkeep.step_bytes() * (1 + random_.below(3));
  for (const Extent& range : job.ranges) {
    for (std::uint64_t at = range.offset; at < range.end(); at += step) {
      const Extent piece{at, std::min(step, range.end() - at)};
      if (!request(channel, Op::repair, 0, piece)) return false;
      if (!random_.one_in(4)) continue;
      upkeep.progress(job, piece.end());
      // What has been done so far goes to the members now and then.
      if (random_.one_in(2) && !request(channel, Op::flush, kQuiet, {})) return false;
    }
  }
  return request(channel, Op::flush, 0, {});
}

// Everything has been resynced: it is clean, parity fits, and the same is there without any of the
// members that may be missing.
void Run::check_arrays() {
  std::uint32_t sets = 1;
  if (const auto standing = stand(Plan::kAllLegs, 0, 1); standing != nullptr) {
    sets = plan_.left_out_sets();
    for (PlanNode* each : plan_.arrays()) {
      if (!failure_) check_array(*standing, *each);
    }
  }
  for (std::uint32_t view = 0; view < plan_.views() && !failure_ && !over_; ++view) {
    for (std::uint32_t set = 0; set < sets && !failure_ && !over_; ++set) inspect(view, set);
  }
}

void Run::check_array(Standing& standing, PlanNode& node) {
  Upkeep* const upkeep = node.geom->body().upkeep();
  if (node.array->dirty || (upkeep != nullptr && upkeep->due())) {
    failure_ = fmt::format("{} has been resynced, and is dirty", node.name);
    return;
  }
  const auto in_sync = static_cast<std::size_t>(std::popcount(node.array->in_sync));
  if (upkeep == nullptr || in_sync < node.below.size()) return;
  standing.programs.push_back(compiled(*node.geom->providers().front(), dispatch_).value());
  const auto channel =
      Channel::open(*lanes_[0], *standing.programs.back(), {.writable = true}).value();
  const UpkeepJob job = upkeep->whole(UpkeepJob::Kind::check);
  bool ok = true;
  for (const Extent& each : job.ranges) ok = ok && request(*channel, Op::repair, kCheck, each);
  upkeep->finish(job);
  if (!ok) failure_ = fmt::format("{} cannot be checked", node.name);
  if (ok && upkeep->mismatches() != 0) {
    failure_ = fmt::format("{} has been resynced, and {} sectors do not fit", node.name,
                           upkeep->mismatches());
  }
}

}  // namespace

RunResult run(const RunOptions& options) {
  auto run = std::make_unique<Run>(options);
  RunResult result = run->result();
  if (run->stuck()) static_cast<void>(run.release());
  return result;
}

}  // namespace ashlar::sim
