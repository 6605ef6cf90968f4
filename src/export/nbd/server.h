// The NBD server: listens, spreads connections over its lanes, stops in order.
//
//   auto exports = nbd::Exports::create(*node, {.write = true}).value();
//   auto server = nbd::Server::start(*exports, {.addresses = {"unix:/run/disk.sock"}}).value();
//   ...                                  // serves on its own threads
//   server->stop();                      // answers what is under way
//
// A connection stays on the lane that it was given to (the one with the fewest); connections to the
// same device share its geoms, so a flush on one covers what was written through all. An idle
// server sleeps in epoll and uses no processor time.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "export/nbd/listen_address.h"
#include "export/nbd/server_lane.h"

namespace ashlar::nbd {

struct ServerOptions {
  std::vector<std::string> addresses{};  // as of ListenSocket::open; at least one
  unsigned lanes = 0;                    // threads; 0: one for each processor, at most kMaxLanes
  EngineOptions engine{};
  ServerLog log{};
  // Reads so long are answered from the page cache where they can be (file_reply.h). Nothing: as
  // is best for the socket; another number, or kNoFileReplies, is for measuring.
  std::optional<std::uint32_t> least_file_reply{};
};

class Server {
 public:
  static constexpr unsigned kMaxLanes = 8;
  // More are accepted and closed at once: a descriptor and a receive block each is what a client
  // can make us hold.
  static constexpr std::uint32_t kMaxConnections = 1024;

  // `exports` must outlive the server. Errors: an address that cannot be listened on, a lane that
  // cannot be made.
  static Result<std::unique_ptr<Server>> start(const Exports& exports, ServerOptions options);
  Server(const Server&) = delete;
  Server& operator=(const Server&) = delete;
  // Stops.
  ~Server();

  // Takes no more connections, answers requests under way, closes all connections. THREAD: the one
  // that started it; more than once is fine.
  void stop();

  // Where clients find it, one URI for each address.
  std::vector<std::string> uris() const;
  std::uint32_t connections() const noexcept;

 private:
  explicit Server(ServerOptions options) : options_(std::move(options)) {}
  void accept_loop() noexcept;
  void accept_all(int listen_fd) noexcept;
  void place(int fd);

  const ServerOptions options_;
  std::vector<ListenSocket> sockets_;
  std::vector<std::unique_ptr<ServerLane>> lanes_;
  int stop_fd_ = -1;  // an eventfd: tells the acceptor to end
  std::thread acceptor_;
};

}  // namespace ashlar::nbd
