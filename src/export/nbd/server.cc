// The NBD server; see server.h.
#include "export/nbd/server.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

namespace ashlar::nbd {
namespace {

// Room for two batches of replies, so that one can be sent while the client takes the other. The
// system may grant less.
constexpr int kSendBufferBytes = 1 << 20;
// After the process ran out of descriptors: long enough not to spin, short enough not to be seen.
constexpr int kOutOfDescriptorsMs = 100;

void tune(int fd) {
  const int yes = 1;
  setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &kSendBufferBytes, sizeof(kSendBufferBytes));
  setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof(yes));  // Refused by unix sockets.
}

}  // namespace

Result<std::unique_ptr<Server>> Server::start(const Exports& exports, ServerOptions options) {
  ASHLAR_ASSERT(!options.addresses.empty());
  std::unique_ptr<Server> server(new Server(std::move(options)));
  for (const std::string& address : server->options_.addresses) {
    auto socket = ListenSocket::open(address);
    if (!socket) return socket.error();
    server->sockets_.push_back(*std::move(socket));
  }
  const unsigned processors = std::clamp(std::thread::hardware_concurrency(), 1u, kMaxLanes);
  const unsigned lanes = server->options_.lanes > 0 ? server->options_.lanes : processors;
  for (unsigned i = 0; i < lanes; ++i) {
    const ServerOptions& wanted = server->options_;
    auto lane = ServerLane::start(exports, wanted.engine, wanted.log, wanted.least_file_reply);
    if (!lane) return lane.error();
    server->lanes_.push_back(*std::move(lane));
  }
  server->stop_fd_ = eventfd(0, EFD_CLOEXEC);
  if (server->stop_fd_ < 0) {
    return make_error(errc_from_errno(errno), "nbd: eventfd: {}", std::strerror(errno));
  }
  server->acceptor_ = std::thread([self = server.get()] { self->accept_loop(); });
  return server;
}

Server::~Server() {
  stop();
  if (stop_fd_ >= 0) close(stop_fd_);
}

void Server::stop() {
  if (acceptor_.joinable()) {
    const std::uint64_t one = 1;
    const auto written = write(stop_fd_, &one, sizeof(one));
    ASHLAR_ASSERT(written == sizeof(one));
    acceptor_.join();
  }
  sockets_.clear();
  for (const auto& lane : lanes_) lane->stop();
}

std::vector<std::string> Server::uris() const {
  std::vector<std::string> result;
  for (const ListenSocket& each : sockets_) result.push_back(each.uri());
  return result;
}

std::uint32_t Server::connections() const noexcept {
  std::uint32_t count = 0;
  for (const auto& lane : lanes_) count += lane->connections();
  return count;
}

void Server::accept_loop() noexcept {
  std::vector<pollfd> waits = {{.fd = stop_fd_, .events = POLLIN, .revents = 0}};
  for (const ListenSocket& each : sockets_) {
    waits.push_back({.fd = each.fd(), .events = POLLIN, .revents = 0});
  }
  while (true) {
    if (poll(waits.data(), waits.size(), -1) < 0) continue;  // A signal.
    if (waits.front().revents != 0) return;
    for (const pollfd& each : waits) {
      if (each.revents != 0) accept_all(each.fd);
    }
  }
}

void Server::accept_all(int listen_fd) noexcept {
  while (true) {
    const int fd = accept4(listen_fd, nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd >= 0) {
      place(fd);
      continue;
    }
    if (errno == EMFILE || errno == ENFILE) poll(nullptr, 0, kOutOfDescriptorsMs);
    if (errno != EINTR && errno != ECONNABORTED) return;
  }
}

void Server::place(int fd) {
  if (connections() >= kMaxConnections) {
    close(fd);
    if (options_.log) options_.log("nbd: a client was sent away: too many connections");
    return;
  }
  tune(fd);
  const auto fewer = [](const auto& a, const auto& b) {
    return a->connections() < b->connections();
  };
  (*std::min_element(lanes_.begin(), lanes_.end(), fewer))->adopt(fd);
}

}  // namespace ashlar::nbd
