// One connection of the server: its socket, first the negotiation, then the session.
//
// THREAD: one lane's.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/list.h"
#include "export/nbd/exports.h"
#include "export/nbd/negotiation.h"
#include "export/nbd/pacing.h"
#include "export/nbd/session.h"
#include "program/lane.h"

namespace ashlar::nbd {

class Connection;

// What a connection wants of its owner.
class ConnectionOwner {
 public:
  virtual ~ConnectionOwner() = default;
  // Call settle() soon.
  virtual void on_connection_ready(Connection& connection) noexcept = 0;
};

class Connection final : public Watcher, private SessionOwner, private ExportDirectory {
 public:
  // A client that has not chosen an export by then is sent away.
  static constexpr std::uint64_t kNegotiationNs = 30'000'000'000;

  // Owns `fd`, a connected, non-blocking socket. The rest must outlive the connection.
  // `least_file_reply` as in ServerOptions.
  Connection(ConnectionOwner& owner, SessionMemory& memory, Lane& lane, const Exports& exports,
             int fd, std::optional<std::uint32_t> least_file_reply);
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;
  // REQUIRES: finished().
  ~Connection() override;

  // Begins to talk. Errors: what epoll refuses.
  Result<void> start();

  // Called by the lane when the socket is ready.
  void on_ready(std::uint32_t events) noexcept override;

  // Sends what is ready, and decides what to wait for next.
  void settle() noexcept;

  // Answers what is under way, takes nothing more, then finishes.
  void drain() noexcept;
  // Finishes as soon as the requests under way are cancelled.
  void abandon(const char* reason) noexcept;

  // Nothing is under way and the socket is closed.
  bool finished() const noexcept { return fd_ < 0 && (!session_ || session_->idle()); }
  // Why it ended; empty for an orderly end.
  const std::string& reason() const noexcept { return reason_; }
  // The export that was chosen, or empty.
  const std::string& export_name() const noexcept { return export_name_; }

  ListLink ready_link;  // the owner's list of connections to settle

 private:
  void on_session_ready() noexcept override { owner_.on_connection_ready(*this); }
  std::vector<std::string> names() const override { return exports_.names(); }
  std::optional<ExportInfo> find(std::string_view name) const override {
    return exports_.find(name);
  }
  Result<ExportInfo> choose(std::string_view name) override;

  void on_hangup() noexcept;
  void receive_negotiation() noexcept;
  void feed_negotiation() noexcept;
  void settle_negotiation() noexcept;
  bool send_negotiation() noexcept;
  void enter_transmission() noexcept;
  void settle_session() noexcept;
  void receive_requests() noexcept;
  std::uint64_t rest_ns() noexcept;
  void rest_until(std::uint64_t deadline_ns) noexcept;
  std::uint32_t wanted_events() const noexcept;
  void close(std::string reason) noexcept;

  ConnectionOwner& owner_;
  SessionMemory& memory_;
  Lane& lane_;
  const Exports& exports_;
  int fd_;
  const bool is_unix_;
  const std::uint32_t least_file_reply_;
  bool watched_ = false;
  std::uint32_t events_ = 0;  // that the lane watches for
  Timer deadline_;
  std::optional<Negotiation> negotiation_;
  std::vector<std::byte> unfed_;    // received and not yet taken by the negotiation
  std::unique_ptr<Device> device_;  // between choosing and the session
  std::unique_ptr<Session> session_;
  Pacing pacing_;
  Timer rest_;                          // while armed, the socket is not looked at
  bool received_ = false;               // since the last settle()
  std::uint64_t settled_requests_ = 0;  // of the session, at the last settle()
  std::string reason_;
  std::string export_name_;
};

}  // namespace ashlar::nbd
