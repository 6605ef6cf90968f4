// Listening sockets; see listen_address.h.
#include "export/nbd/listen_address.h"

#include <netdb.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <memory>
#include <utility>

namespace ashlar::nbd {
namespace {

constexpr int kBacklog = 128;
constexpr int kSocketFlags = SOCK_NONBLOCK | SOCK_CLOEXEC;

Error system_error(std::string_view what) {
  const int problem = errno;
  return make_error(errc_from_errno(problem), "nbd: cannot listen on {}: {}", what,
                    std::strerror(problem));
}

bool somebody_listens(const sockaddr_un& address) {
  const int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (fd < 0) return true;
  const bool connected =
      connect(fd, reinterpret_cast<const sockaddr*>(&address), sizeof(address)) == 0;
  close(fd);
  return connected;
}

// Removes the socket file of a server that died; nothing else.
void remove_stale(const sockaddr_un& address) {
  struct stat status {};
  if (lstat(address.sun_path, &status) != 0 || !S_ISSOCK(status.st_mode)) return;
  if (!somebody_listens(address)) unlink(address.sun_path);
}

std::string uri_of(int fd) {
  sockaddr_storage address{};
  socklen_t length = sizeof(address);
  char host[NI_MAXHOST];
  char port[NI_MAXSERV];
  auto* generic = reinterpret_cast<sockaddr*>(&address);
  if (getsockname(fd, generic, &length) != 0 ||
      getnameinfo(generic, length, host, sizeof(host), port, sizeof(port),
                  NI_NUMERICHOST | NI_NUMERICSERV) != 0) {
    return "nbd://";
  }
  const bool is_v6 = address.ss_family == AF_INET6;
  return is_v6 ? fmt::format("nbd://[{}]:{}", host, port) : fmt::format("nbd://{}:{}", host, port);
}

int listen_on(const addrinfo& info) {
  const int fd = socket(info.ai_family, info.ai_socktype | kSocketFlags, info.ai_protocol);
  if (fd < 0) return -1;
  const int yes = 1;
  setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof(yes));
  if (bind(fd, info.ai_addr, info.ai_addrlen) == 0 && listen(fd, kBacklog) == 0) return fd;
  const int problem = errno;
  close(fd);
  errno = problem;
  return -1;
}

}  // namespace

Result<ListenSocket> ListenSocket::open(std::string_view address) {
  constexpr std::string_view kUnix = "unix:";
  if (address.starts_with(kUnix)) return open_unix(std::string(address.substr(kUnix.size())));
  const std::size_t colon = address.rfind(':');
  if (colon == std::string_view::npos || colon + 1 == address.size()) {
    return make_error(Errc::invalid, "nbd: '{}' is neither unix:PATH nor HOST:PORT", address);
  }
  std::string_view host = address.substr(0, colon);
  if (host.starts_with('[') && host.ends_with(']')) host = host.substr(1, host.size() - 2);
  return open_tcp(std::string(host), std::string(address.substr(colon + 1)));
}

Result<ListenSocket> ListenSocket::open_unix(const std::string& path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.empty() || path.size() >= sizeof(address.sun_path)) {
    return make_error(Errc::invalid, "nbd: the socket path '{}' is empty or longer than {} bytes",
                      path, sizeof(address.sun_path) - 1);
  }
  std::ranges::copy(path, address.sun_path);
  remove_stale(address);
  const int fd = socket(AF_UNIX, SOCK_STREAM | kSocketFlags, 0);
  if (fd < 0) return system_error(path);
  if (bind(fd, reinterpret_cast<const sockaddr*>(&address), sizeof(address)) != 0 ||
      listen(fd, kBacklog) != 0) {
    const Error error = system_error(path);
    close(fd);
    return error;
  }
  return ListenSocket(fd, path, "nbd+unix:///?socket=" + path);
}

Result<ListenSocket> ListenSocket::open_tcp(const std::string& host, const std::string& port) {
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  addrinfo* found = nullptr;
  // No host is the loopback address: nobody serves a disk to the world by leaving something out.
  const int problem =
      getaddrinfo(host.empty() ? nullptr : host.c_str(), port.c_str(), &hints, &found);
  if (problem != 0) {
    return make_error(Errc::invalid, "nbd: {}:{}: {}", host, port, gai_strerror(problem));
  }
  const std::unique_ptr<addrinfo, void (*)(addrinfo*)> owner(found, &freeaddrinfo);
  for (const addrinfo* each = found; each != nullptr; each = each->ai_next) {
    const int fd = listen_on(*each);
    if (fd >= 0) return ListenSocket(fd, {}, uri_of(fd));
  }
  return system_error(fmt::format("{}:{}", host, port));
}

ListenSocket::ListenSocket(ListenSocket&& other) noexcept
    : fd_(std::exchange(other.fd_, -1)),
      path_(std::exchange(other.path_, {})),
      uri_(std::move(other.uri_)) {}

ListenSocket& ListenSocket::operator=(ListenSocket&& other) noexcept {
  std::swap(fd_, other.fd_);
  std::swap(path_, other.path_);
  std::swap(uri_, other.uri_);
  return *this;
}

ListenSocket::~ListenSocket() {
  if (fd_ >= 0) close(fd_);
  if (!path_.empty()) unlink(path_.c_str());
}

}  // namespace ashlar::nbd
