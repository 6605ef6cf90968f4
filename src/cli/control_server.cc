// The control socket: a poll loop over at most kMaxClients.
#include "cli/control_server.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <utility>

#include "cli/control_commands.h"

namespace ashlar::cli {
namespace {

Error failure(const std::string& path, int error_number) {
  return make_error(errc_from_errno(error_number), "{}: {}", path, std::strerror(error_number));
}

Result<sockaddr_un> address_of(const std::string& path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.empty() || path.size() >= sizeof(address.sun_path)) {
    return make_error(Errc::invalid,
                      "control: '{}' is no path for a socket: it has {} bytes, {} fit", path,
                      path.size(), sizeof(address.sun_path) - 1);
  }
  std::memcpy(address.sun_path, path.data(), path.size());
  return address;
}

// A descriptor that is closed in the end.
class Socket {
 public:
  explicit Socket(int flags) : fd_(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | flags, 0)) {}
  Socket(const Socket&) = delete;
  Socket& operator=(const Socket&) = delete;
  ~Socket() {
    if (fd_ >= 0) ::close(fd_);
  }
  int fd() const { return fd_; }
  int release() { return std::exchange(fd_, -1); }

 private:
  int fd_;
};

bool connect_to(int fd, const sockaddr_un& address) {
  return connect(fd, reinterpret_cast<const sockaddr*>(&address), sizeof(address)) == 0;
}

}  // namespace

Result<std::unique_ptr<ControlServer>> ControlServer::start(Node& node, const std::string& path) {
  std::unique_ptr<ControlServer> server(new ControlServer(node, path));
  if (auto listening = server->listen(); !listening) return listening.error();
  server->thread_ = std::thread([self = server.get()] { self->run(); });
  return server;
}

Result<void> ControlServer::listen() {
  auto address = address_of(path_);
  if (!address) return address.error();
  struct stat there {};
  if (lstat(path_.c_str(), &there) == 0) {
    const Socket probe(0);
    if (!S_ISSOCK(there.st_mode) || connect_to(probe.fd(), *address) || errno != ECONNREFUSED) {
      return make_error(Errc::exists, "{}: there is something already", path_);
    }
    unlink(path_.c_str());
  }
  Socket socket(SOCK_NONBLOCK);
  if (socket.fd() < 0 ||
      bind(socket.fd(), reinterpret_cast<const sockaddr*>(&*address), sizeof(*address)) != 0) {
    return failure(path_, errno);
  }
  // Nobody can connect before listen().
  stop_fd_ = eventfd(0, EFD_CLOEXEC);
  if (stop_fd_ < 0 || chmod(path_.c_str(), 0600) != 0 || ::listen(socket.fd(), 8) != 0) {
    const int problem = errno;
    unlink(path_.c_str());
    return failure(path_, problem);
  }
  listen_fd_ = socket.release();
  return {};
}

ControlServer::~ControlServer() {
  if (thread_.joinable()) {
    const std::uint64_t one = 1;
    const auto written = write(stop_fd_, &one, sizeof(one));
    ASHLAR_ASSERT(written == sizeof(one));
    thread_.join();
  }
  for (const Client& each : clients_) ::close(each.fd);
  if (stop_fd_ >= 0) ::close(stop_fd_);
  if (listen_fd_ < 0) return;
  ::close(listen_fd_);
  unlink(path_.c_str());
}

void ControlServer::run() {
  for (;;) {
    std::vector<pollfd> waits = {{stop_fd_, POLLIN, 0}, {listen_fd_, POLLIN, 0}};
    for (const Client& each : clients_) {
      // Nothing more is taken from a client that has an answer to take.
      const int events = each.output.empty() ? POLLIN : POLLOUT;
      waits.push_back({each.fd, static_cast<short>(events), 0});
    }
    if (poll(waits.data(), waits.size(), -1) < 0) continue;  // a signal
    if (waits[0].revents != 0) return;
    for (std::size_t i = clients_.size(); i > 0; --i) {
      if (serve(clients_[i - 1], waits[i + 1].revents)) continue;
      ::close(clients_[i - 1].fd);
      clients_.erase(clients_.begin() + static_cast<std::ptrdiff_t>(i - 1));
    }
    if (waits[1].revents != 0) accept_one();
  }
}

void ControlServer::accept_one() {
  const int fd = accept4(listen_fd_, nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC);
  if (fd < 0) return;
  if (clients_.size() < kMaxClients) {
    clients_.push_back({fd, {}, {}});
  } else {
    ::close(fd);
  }
}

// False: it is to be closed.
bool ControlServer::serve(Client& client, short events) {
  if (events == 0) return true;
  return client.output.empty() ? receive(client) : send(client);
}

bool ControlServer::receive(Client& client) {
  std::array<char, 4096> bytes;
  const ssize_t count = recv(client.fd, bytes.data(), bytes.size(), MSG_DONTWAIT);
  if (count == 0) return false;
  if (count < 0) return errno == EAGAIN || errno == EINTR;
  client.input.append(bytes.data(), static_cast<std::size_t>(count));
  for (std::size_t end = client.input.find('\n'); end != std::string::npos;
       end = client.input.find('\n')) {
    const std::string_view line = std::string_view(client.input).substr(0, end);
    client.output += answer_control(node_, line) + "\n";
    client.input.erase(0, end + 1);
  }
  if (client.input.size() >= kMaxControlLine) {
    client.output += R"({"ok":false,"error":"a request has at most 65536 bytes"})"
                     "\n";
    send(client);
    return false;
  }
  return client.output.empty() || send(client);
}

bool ControlServer::send(Client& client) {
  const ssize_t count =
      ::send(client.fd, client.output.data(), client.output.size(), MSG_DONTWAIT | MSG_NOSIGNAL);
  if (count < 0) return errno == EAGAIN || errno == EINTR;
  client.output.erase(0, static_cast<std::size_t>(count));
  return true;
}

Result<std::string> ask_control(const std::string& path, const std::string& line) {
  auto address = address_of(path);
  if (!address) return address.error();
  const Socket socket(0);
  if (socket.fd() < 0 || !connect_to(socket.fd(), *address)) return failure(path, errno);
  const std::string request = line + "\n";
  std::size_t sent = 0;
  while (sent < request.size()) {
    const ssize_t count =
        ::send(socket.fd(), request.data() + sent, request.size() - sent, MSG_NOSIGNAL);
    if (count < 0 && errno != EINTR) return failure(path, errno);
    if (count > 0) sent += static_cast<std::size_t>(count);
  }
  std::string answer;
  std::array<char, 4096> bytes;
  while (answer.find('\n') == std::string::npos) {
    const ssize_t count = recv(socket.fd(), bytes.data(), bytes.size(), 0);
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return failure(path, errno);
    if (count == 0) return make_error(Errc::io, "{}: the server gave no answer", path);
    answer.append(bytes.data(), static_cast<std::size_t>(count));
  }
  answer.resize(answer.find('\n'));
  return answer;
}

}  // namespace ashlar::cli
