// A thread of the server: a lane and the connections that live on it.
//
// One loop for all of them: wait for events, let each connection take what its socket has, run the
// bios, then send every reply that became ready, one call for each connection.
#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "export/nbd/connection.h"

namespace ashlar::nbd {

// Called with one sentence about a connection. THREAD: any.
using ServerLog = std::function<void(const std::string& sentence)>;

class ServerLane final : private ConnectionOwner {
 public:
  // How long stop() waits for requests under way before it cancels them.
  static constexpr std::uint64_t kGraceNs = 2'000'000'000;

  // Starts the thread. `exports` and `log` must outlive it.
  // Errors: what Lane::create says.
  static Result<std::unique_ptr<ServerLane>> start(const Exports& exports,
                                                   const EngineOptions& engine,
                                                   const ServerLog& log,
                                                   std::optional<std::uint32_t> least_file_reply);
  ServerLane(const ServerLane&) = delete;
  ServerLane& operator=(const ServerLane&) = delete;
  // Stops.
  ~ServerLane() override;

  // Takes a connected, non-blocking socket. THREAD: any.
  void adopt(int fd);

  // Answers what is under way, closes all connections and ends the thread. THREAD: the one that
  // started it; more than once is fine.
  void stop();

  std::uint32_t connections() const noexcept { return count_.load(std::memory_order_relaxed); }

 private:
  ServerLane(const Exports& exports, const ServerLog& log,
             std::optional<std::uint32_t> least_file_reply)
      : exports_(exports), log_(log), least_file_reply_(least_file_reply) {}

  void on_connection_ready(Connection& connection) noexcept override;
  void run();
  void begin(int fd);
  void settle();
  void remove(Connection& connection);
  void drain_all();
  void note(const Connection& connection) const;

  const Exports& exports_;
  const ServerLog& log_;
  const std::optional<std::uint32_t> least_file_reply_;
  std::thread thread_;
  std::atomic<std::uint32_t> count_{0};  // connections that are here or on their way

  // The thread's own.
  std::unique_ptr<Lane> lane_;
  SessionMemory memory_;
  std::vector<std::unique_ptr<Connection>> connections_;
  List<Connection, &Connection::ready_link> ready_;
  bool stopping_ = false;
  std::uint64_t stop_deadline_ns_ = 0;
};

}  // namespace ashlar::nbd
