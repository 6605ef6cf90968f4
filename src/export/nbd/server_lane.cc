// A thread of the server; see server_lane.h.
#include "export/nbd/server_lane.h"

#include <signal.h>
#include <sys/prctl.h>
#include <unistd.h>

#include <algorithm>
#include <future>

namespace ashlar::nbd {
namespace {

// How often a lane that is stopping looks at its clock.
constexpr int kStopPollMs = 50;
// Rests are shorter than the 50 µs that the system would add to them otherwise (pacing.h).
constexpr unsigned long kTimerSlackNs = 1'000;

// sendfile(2) to a client that is gone raises it, in the thread that calls.
void block_sigpipe() noexcept {
  sigset_t signals;
  sigemptyset(&signals);
  sigaddset(&signals, SIGPIPE);
  pthread_sigmask(SIG_BLOCK, &signals, nullptr);
}

}  // namespace

Result<std::unique_ptr<ServerLane>> ServerLane::start(
    const Exports& exports, const EngineOptions& engine, const ServerLog& log,
    std::optional<std::uint32_t> least_file_reply) {
  std::unique_ptr<ServerLane> server(new ServerLane(exports, log, least_file_reply));
  std::promise<Result<void>> ready;
  std::future<Result<void>> answer = ready.get_future();
  // A lane belongs to the thread that makes it.
  server->thread_ = std::thread([self = server.get(), &engine, &ready] {
    prctl(PR_SET_TIMERSLACK, kTimerSlackNs, 0, 0, 0);
    block_sigpipe();
    auto lane = Lane::create({.engine = engine, .clock = nullptr});
    if (!lane) return ready.set_value(lane.error());
    self->lane_ = *std::move(lane);
    ready.set_value({});
    self->run();
  });
  Result<void> started = answer.get();
  if (started) return server;
  server->thread_.join();
  return started.error();
}

ServerLane::~ServerLane() { stop(); }

void ServerLane::adopt(int fd) {
  count_.fetch_add(1, std::memory_order_relaxed);
  lane_->post_task([this, fd] { begin(fd); });
}

void ServerLane::stop() {
  if (!thread_.joinable()) return;
  lane_->post_task([this] { drain_all(); });
  thread_.join();
  lane_.reset();
}

void ServerLane::on_connection_ready(Connection& connection) noexcept {
  if (!connection.ready_link.linked()) ready_.push_back(connection);
}

void ServerLane::run() {
  while (!stopping_ || !connections_.empty()) {
    lane_->wait(stopping_ ? kStopPollMs : -1);
    settle();
    if (!stopping_ || lane_->now_ns() < stop_deadline_ns_) continue;
    for (const auto& each : connections_) each->abandon("the server stops");
    settle();
  }
}

void ServerLane::begin(int fd) {
  if (stopping_) {
    close(fd);
    count_.fetch_sub(1, std::memory_order_relaxed);
    return;
  }
  ConnectionOwner& owner = *this;
  connections_.push_back(
      std::make_unique<Connection>(owner, memory_, *lane_, exports_, fd, least_file_reply_));
  Connection& connection = *connections_.back();
  if (!connection.start()) remove(connection);
}

void ServerLane::settle() {
  while (Connection* connection = ready_.pop_front()) {
    connection->settle();
    if (connection->finished()) remove(*connection);
  }
}

void ServerLane::remove(Connection& connection) {
  note(connection);
  const auto is_it = [&](const auto& each) { return each.get() == &connection; };
  std::erase_if(connections_, is_it);
  count_.fetch_sub(1, std::memory_order_relaxed);
}

void ServerLane::drain_all() {
  stopping_ = true;
  stop_deadline_ns_ = lane_->now_ns() + kGraceNs;
  for (const auto& each : connections_) each->drain();
}

void ServerLane::note(const Connection& connection) const {
  if (!log_ || connection.reason().empty()) return;
  const std::string& name = connection.export_name();
  log_(name.empty() ? fmt::format("nbd: a client: {}", connection.reason())
                    : fmt::format("nbd: a client of {}: {}", name, connection.reason()));
}

}  // namespace ashlar::nbd
