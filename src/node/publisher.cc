// Invariants: (1) a program that a channel uses, or is about to use, is in its slot's `uses`; (2) a
// slot's channel is touched on its lane's thread alone, and so a task finds it alive or gone.
#include "node/publisher.h"

#include <algorithm>

#include "program/explain.h"

namespace ashlar {
namespace {

// A lane without memory for the pools of the new program tries again after so long.
constexpr std::uint64_t kRetryNs = 10'000'000;

// What is not new stays as the channel's user has it; without memory, too.
void apply(const Counting& wish, Counting& applied, Channel& channel) {
  if (wish.layers != applied.layers) static_cast<void>(channel.count_layers(wish.layers));
  if (wish.latency_every != applied.latency_every) {
    static_cast<void>(channel.measure_latency(wish.latency_every));
  }
  applied = wish;
}

}  // namespace

// One channel. Shared with the tasks that are on their way to its lane.
struct Publisher::Slot {
  Slot(Publisher& its_publisher, Lane& its_lane, DeviceWatcher* its_watcher)
      : publisher(its_publisher), lane(its_lane), watcher(its_watcher) {}

  Publisher& publisher;
  Lane& lane;
  DeviceWatcher* const watcher;
  // The lane's own.
  Channel* channel = nullptr;  // null before it is open and when it is closed
  Timer retry;
  std::shared_ptr<Slot> self;  // while `retry` is armed
  Counting applied;            // what the publisher had it count; its user may count more
  // Guarded by the publisher's lock.
  bool posted = false;
  struct Question {
    std::shared_ptr<Survey> survey;
    std::size_t number;
  };
  std::vector<Question> questions;  // that wait for the task that was posted
  std::vector<const Program*> uses;
};

Publisher::Publisher(std::unique_ptr<Program> first, std::function<void()> notify)
    : notify_(std::move(notify)),
      size_bytes_(first->entry.size_bytes),
      current_(std::move(first)) {}

Publisher::~Publisher() { clear(); }

void Publisher::clear() {
  const MutexLock lock(mutex_);
  ASHLAR_ASSERT(slots_.empty());
  replaced_.clear();
  current_.reset();
}

Result<std::unique_ptr<Channel>> Publisher::open(Lane& lane, bool writable,
                                                 std::pmr::memory_resource* memory,
                                                 DeviceWatcher* watcher) {
  const auto slot = std::make_shared<Slot>(*this, lane, watcher);
  const Program* program = nullptr;
  {
    const MutexLock lock(mutex_);
    program = current_.get();
    slot->uses.push_back(program);
    slots_.push_back(slot);
  }
  auto channel =
      Channel::open(lane, *program, {.writable = writable, .memory = memory, .listener = this});
  if (channel) apply(counting(), slot->applied, **channel);
  const MutexLock lock(mutex_);
  if (!channel) {
    std::erase(slots_, slot);
    return channel;
  }
  slot->channel = channel->get();
  // Something came meanwhile: the task was there before the channel.
  if (current_.get() != program || !slot->questions.empty()) post(slot);
  return channel;
}

void Publisher::publish(std::unique_ptr<Program> fresh, std::uint64_t change) {
  const MutexLock lock(mutex_);
  size_bytes_.store(fresh->entry.size_bytes, std::memory_order_relaxed);
  replaced_.push_back({std::exchange(current_, std::move(fresh)), change});
  for (const auto& each : slots_) post(each);
}

// One task at a time for a slot: a lane that never polls gathers no heap of them.
void Publisher::post(const std::shared_ptr<Slot>& slot) {
  if (std::exchange(slot->posted, true)) return;
  slot->lane.post_task([slot] { attend(slot); });
}

// On the lane's thread: whatever it was posted for.
void Publisher::attend(const std::shared_ptr<Slot>& slot) {
  if (slot->channel == nullptr) return;  // closed since, or not open yet
  change_over(slot);
  apply(slot->publisher.counting(), slot->applied, *slot->channel);
  answer(*slot);
}

void Publisher::answer(Slot& slot) {
  std::vector<Slot::Question> questions;
  {
    const MutexLock lock(slot.publisher.mutex_);
    questions.swap(slot.questions);
  }
  for (const Slot::Question& each : questions) {
    each.survey->answer(each.number, counters_of(*slot.channel));
  }
}

void Publisher::count(const Counting& wish) {
  const MutexLock lock(mutex_);
  if (wish == counting_) return;
  counting_ = wish;
  for (const auto& each : slots_) post(each);
}

Counting Publisher::counting() const {
  const MutexLock lock(mutex_);
  return counting_;
}

// Questions whose survey nobody waits for any more are forgotten: a lane that never polls gathers
// no heap of them.
void Publisher::ask(const std::shared_ptr<Survey>& survey, const std::string& device,
                    const std::string& user) {
  const MutexLock lock(mutex_);
  for (const auto& slot : slots_) {
    std::erase_if(slot->questions, [](const auto& old) { return old.survey.use_count() == 1; });
    slot->questions.push_back({survey, survey->ask(device, user)});
    post(slot);
  }
}

// The newest program is taken.
void Publisher::change_over(const std::shared_ptr<Slot>& slot) {
  if (slot->channel == nullptr) return;  // closed since
  Publisher& self = slot->publisher;
  Channel& channel = *slot->channel;
  const Program* next = nullptr;
  {
    const MutexLock lock(self.mutex_);
    slot->posted = false;
    next = self.current_.get();
    if (next == &channel.program() || slot->retry.armed) return;
    slot->uses.push_back(next);
  }
  if (channel.replace(*next)) {
    self.refresh(*slot);
    if (slot->watcher != nullptr) slot->watcher->on_program(*next);
    return;
  }
  self.refresh(*slot);
  slot->self = slot;
  slot->retry.user = slot.get();
  slot->retry.expired = [](Timer& timer, Context&) noexcept {
    change_over(std::exchange(static_cast<Slot*>(timer.user)->self, nullptr));
  };
  slot->lane.arm(slot->retry, slot->lane.now_ns() + kRetryNs);
}

// Forgets the programs that the slot's channel has left.
void Publisher::refresh(Slot& slot) {
  bool fewer = false;
  {
    const MutexLock lock(mutex_);
    fewer = std::erase_if(slot.uses,
                          [&](const Program* each) { return !slot.channel->uses(*each); }) > 0;
  }
  if (fewer) notify_();
}

void Publisher::on_retired(Channel& channel) noexcept {
  std::shared_ptr<Slot> slot;
  {
    const MutexLock lock(mutex_);
    const auto its = [&](const auto& each) { return each->channel == &channel; };
    const auto found = std::find_if(slots_.begin(), slots_.end(), its);
    if (found == slots_.end()) return;
    slot = *found;
  }
  refresh(*slot);
}

void Publisher::on_closed(Channel& channel) noexcept {
  std::vector<Slot::Question> questions;
  {
    const MutexLock lock(mutex_);
    const auto its = [&](const auto& each) { return each->channel == &channel; };
    const auto found = std::find_if(slots_.begin(), slots_.end(), its);
    ASHLAR_ASSERT(found != slots_.end());
    Slot& slot = **found;
    slot.channel = nullptr;
    questions.swap(slot.questions);
    if (slot.retry.armed) {
      slot.lane.disarm(slot.retry);
      slot.self.reset();
    }
    slots_.erase(found);
  }
  for (const Slot::Question& each : questions) each.survey->withdraw(each.number);
  notify_();
}

std::vector<std::unique_ptr<Program>> Publisher::collect() {
  std::vector<std::unique_ptr<Program>> unused;
  const MutexLock lock(mutex_);
  for (auto it = replaced_.begin(); it != replaced_.end();) {
    bool used = false;
    for (const auto& slot : slots_) {
      used = used || std::count(slot->uses.begin(), slot->uses.end(), it->program.get()) > 0;
    }
    if (!used) unused.push_back(std::move(it->program));
    it = used ? std::next(it) : replaced_.erase(it);
  }
  return unused;
}

std::optional<std::uint64_t> Publisher::oldest_change() const {
  const MutexLock lock(mutex_);
  if (replaced_.empty()) return std::nullopt;
  return replaced_.front().change;
}

std::size_t Publisher::behind() const {
  const MutexLock lock(mutex_);
  const Program* current = current_.get();
  return static_cast<std::size_t>(
      std::count_if(slots_.begin(), slots_.end(), [&](const auto& slot) {
        const auto& uses = slot->uses;
        return std::find(uses.begin(), uses.end(), current) == uses.end();
      }));
}

const Program& Publisher::current() const {
  const MutexLock lock(mutex_);
  return *current_;
}

std::string Publisher::describe_failure(Bio& bio, std::uint64_t offset) const {
  const MutexLock lock(mutex_);
  return ashlar::describe_failure(*current_, bio, offset);
}

}  // namespace ashlar
