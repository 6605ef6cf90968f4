// The loop around epoll: inbox, engine, timers, run list, watched descriptors.
#include "program/lane.h"

#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <ctime>
#include <span>
#include <utility>

#include "base/inline_scope.h"
#include "program/channel.h"
#include "program/worker.h"

namespace ashlar {
namespace {

constexpr LockClass kInboxLock{"lane.inbox"};

constexpr int kEventsAtOnce = 64;
constexpr std::int64_t kNsPerMs = 1'000'000;
constexpr std::int64_t kNsPerSecond = 1'000'000'000;
constexpr std::int64_t kLongestMs = 60'000;

// What epoll hands back for the descriptors that are the lane's own; never dereferenced.
Watcher* const kEngineTag = reinterpret_cast<Watcher*>(1);
Watcher* const kWakeTag = reinterpret_cast<Watcher*>(2);
Watcher* const kTimerTag = reinterpret_cast<Watcher*>(3);

bool add_to_epoll(int epoll_fd, int fd, std::uint32_t events, Watcher* watcher) {
  epoll_event event{};
  event.events = events;
  event.data.ptr = watcher;
  return epoll_ctl(epoll_fd, EPOLL_CTL_ADD, fd, &event) == 0;
}

// Milliseconds where the kernel has nothing finer (before 5.11, or where a filter refuses it),
// rounded up: waking a little late beats spinning through the last millisecond.
int wait_for_milliseconds(int epoll_fd, std::span<epoll_event> events, std::int64_t timeout_ns) {
  const std::int64_t timeout_ms = std::min((timeout_ns + kNsPerMs - 1) / kNsPerMs, kLongestMs);
  return epoll_wait(epoll_fd, events.data(), static_cast<int>(events.size()),
                    timeout_ns < 0 ? -1 : static_cast<int>(timeout_ms));
}

int wait_for_events(int epoll_fd, std::span<epoll_event> events, std::int64_t timeout_ns) {
  if (timeout_ns <= 0) return wait_for_milliseconds(epoll_fd, events, timeout_ns);
  const timespec timeout{.tv_sec = timeout_ns / kNsPerSecond, .tv_nsec = timeout_ns % kNsPerSecond};
  const int count =
      epoll_pwait2(epoll_fd, events.data(), static_cast<int>(events.size()), &timeout, nullptr);
  if (count >= 0 || (errno != ENOSYS && errno != EPERM)) return count;
  return wait_for_milliseconds(epoll_fd, events, timeout_ns);
}

}  // namespace

Result<std::unique_ptr<Lane>> Lane::create(const LaneOptions& options) {
  const Clock& clock = options.clock != nullptr ? *options.clock : system_clock();
  if (options.engine.choice == EngineChoice::none) {
    return std::unique_ptr<Lane>(new Lane(clock, nullptr, -1, -1, -1));
  }
  auto engine = make_engine(options.engine);
  if (!engine) return engine.error();
  const int epoll_fd = epoll_create1(EPOLL_CLOEXEC);
  const int wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  const int timer_fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
  const bool made = epoll_fd >= 0 && wake_fd >= 0 && timer_fd >= 0 &&
                    add_to_epoll(epoll_fd, wake_fd, EPOLLIN, kWakeTag) &&
                    add_to_epoll(epoll_fd, timer_fd, EPOLLIN, kTimerTag) &&
                    add_to_epoll(epoll_fd, (*engine)->event_fd(), EPOLLIN, kEngineTag);
  if (!made) {
    const int problem = errno;
    for (const int fd : {epoll_fd, wake_fd, timer_fd}) {
      if (fd >= 0) close(fd);
    }
    return make_error(errc_from_errno(problem), "lane: cannot wait for events: {}",
                      std::strerror(problem));
  }
  return std::unique_ptr<Lane>(new Lane(clock, std::move(*engine), epoll_fd, wake_fd, timer_fd));
}

Lane::Lane(const Clock& clock, std::unique_ptr<Engine> engine, int epoll_fd, int wake_fd,
           int timer_fd)
    : Context(clock),
      engine_(std::move(engine)),
      epoll_fd_(epoll_fd),
      wake_fd_(wake_fd),
      timer_fd_(timer_fd),
      mutex_(kInboxLock) {
  set_engine(engine_.get());
}

Lane::~Lane() {
  ASHLAR_ASSERT(channels_ == 0);
  wakes_.settle();
  ASHLAR_ASSERT(mail_.empty());
  if (engine_ == nullptr) return;
  engine_.reset();
  close(epoll_fd_);
  close(wake_fd_);
  close(timer_fd_);
}

void Lane::wake() noexcept {
  if (wake_fd_ < 0) return;  // nobody sleeps
  const std::uint64_t one = 1;
  const auto written = write(wake_fd_, &one, sizeof(one));
  ASHLAR_ASSERT(written == sizeof(one) || errno == EAGAIN);
}

void Lane::deliver(Mailbox& box) noexcept {
  MutexLock lock(mutex_);
  mail_.put(box);
  notice(lock);
}

void Lane::room_in(Mailbox& box) noexcept {
  MutexLock lock(mutex_);
  if (!box.room_link.linked()) mail_.room.push_back(box);
  notice(lock);
}

void Lane::drop(Mailbox& box) noexcept {
  const MutexLock lock(mutex_);
  if (box.room_link.linked()) box.room_link.unlink();
}

// The analysis does not follow a lock that is given back through a reference.
ASHLAR_NO_THREAD_ANALYSIS void Lane::notice(MutexLock& lock) noexcept {
  if (inbox_full_.exchange(true)) return;
  const Wakes::Token token(wakes_);
  lock.unlock();
  wake();
}

void Lane::post_task(std::function<void()> task) {
  MutexLock lock(mutex_);
  tasks_.push_back(std::move(task));
  notice(lock);
}

void Lane::request_cancel_scan() noexcept {
  MutexLock lock(mutex_);
  scan_wanted_ = true;
  notice(lock);
}

unsigned Lane::take_inbox() noexcept {
  if (!has_mail()) return 0;
  Arrived arrived;
  std::vector<std::function<void()>> tasks;
  bool scan = false;
  {
    const MutexLock lock(mutex_);
    take(mail_, arrived);
    tasks.swap(tasks_);
    scan = std::exchange(scan_wanted_, false);
    inbox_full_.store(false);
  }
  receive(arrived);
  if (scan) scan_for_cancelled();
  witness_assert_none_held();
  for (auto& task : tasks) task();
  return 1;
}

unsigned Lane::collect() noexcept {
  unsigned count = take_inbox();
  if (engine_ != nullptr) count += engine_->poll();
  count += run_timers();
  count += run();
  flush_mail();
  if (engine_ != nullptr) engine_->flush();
  return count;
}

unsigned Lane::poll() noexcept { return collect(); }

std::int64_t Lane::sleep_bound_ns(int timeout_ms) const noexcept {
  if (has_work() || has_mail()) return 0;
  const std::int64_t timeout = timeout_ms < 0 ? -1 : timeout_ms * kNsPerMs;
  const std::int64_t timer = until_timer_ns();
  if (timer < 0) return timeout;
  return timeout < 0 ? timer : std::min(timeout, timer);
}

// A timer of the past is set to the smallest time that is one. The clock of timers is injected; the
// descriptor's is the system's.
void Lane::prepare_to_sleep() noexcept {
  flush_mail();
  engine_->flush();
  const std::int64_t bound_ns = sleep_bound_ns(-1);
  if (bound_ns < 0 && !timer_armed_) return;
  timer_armed_ = bound_ns >= 0;
  const std::int64_t nap_ns = timer_armed_ ? std::max<std::int64_t>(bound_ns, 1) : 0;
  itimerspec when{};
  when.it_value = {.tv_sec = nap_ns / kNsPerSecond, .tv_nsec = nap_ns % kNsPerSecond};
  const int set = timerfd_settime(timer_fd_, 0, &when, nullptr);
  ASHLAR_ASSERT(set == 0);
}

void Lane::drain(int fd) noexcept {
  std::uint64_t ignored = 0;
  const auto got = read(fd, &ignored, sizeof(ignored));
  ASHLAR_ASSERT(got == sizeof(ignored) || errno == EAGAIN);
}

unsigned Lane::dispatch(std::int64_t timeout_ns) noexcept {
  witness_assert_may_block("Lane::wait");
  std::array<epoll_event, kEventsAtOnce> events;
  const int count = wait_for_events(epoll_fd_, events, timeout_ns);
  if (count <= 0) return 0;
  removed_.clear();
  dispatching_ = true;
  for (int i = 0; i < count; ++i) {
    auto* watcher = static_cast<Watcher*>(events[static_cast<std::size_t>(i)].data.ptr);
    if (watcher == kEngineTag) continue;  // collect() looks anyway
    if (watcher == kWakeTag || watcher == kTimerTag) {
      drain(watcher == kWakeTag ? wake_fd_ : timer_fd_);
      continue;
    }
    if (std::find(removed_.begin(), removed_.end(), watcher) != removed_.end()) continue;
    witness_assert_none_held();
    watcher->on_ready(events[static_cast<std::size_t>(i)].events);
  }
  dispatching_ = false;
  return static_cast<unsigned>(count);
}

unsigned Lane::wait(int timeout_ms) noexcept {
  ASHLAR_ASSERT(engine_ != nullptr);
  const unsigned before = collect();
  const unsigned events = dispatch(before > 0 ? 0 : sleep_bound_ns(timeout_ms));
  return before + events + (events > 0 ? collect() : 0);
}

Result<void> Lane::watch(int fd, std::uint32_t events, Watcher& watcher) {
  if (add_to_epoll(epoll_fd_, fd, events, &watcher)) return {};
  return make_error(errc_from_errno(errno), "lane: cannot watch descriptor {}: {}", fd,
                    std::strerror(errno));
}

void Lane::rewatch(int fd, std::uint32_t events, Watcher& watcher) noexcept {
  epoll_event event{};
  event.events = events;
  event.data.ptr = &watcher;
  const int changed = epoll_ctl(epoll_fd_, EPOLL_CTL_MOD, fd, &event);
  ASHLAR_ASSERT(changed == 0);
}

void Lane::unwatch(int fd, Watcher& watcher) noexcept {
  epoll_ctl(epoll_fd_, EPOLL_CTL_DEL, fd, nullptr);
  if (dispatching_) removed_.push_back(&watcher);
}

void Lane::cancel(Bio& root) noexcept {
  ASHLAR_ASSERT(root.is_root());
  // Its state is another context's to read while that has it.
  ASHLAR_ASSERT(__atomic_load_n(&root.slot, __ATOMIC_ACQUIRE) != 0 || root.state != BioState::idle);
  if (root.foreign) {
    Channel::cancel_foreign(root);
    return;
  }
  if (!cancel_tree(root, 0)) return;
  for (const WorkerSlot& each : root.home->program.workers) each.worker->request_cancel_scan();
}

}  // namespace ashlar
