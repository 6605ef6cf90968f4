// One connection of the server; see connection.h.
//
// Invariants: (1) while watched_, fd_ is open and watched for events_; (2) negotiation_ is there
// until its last output is sent, session_ only after that.
#include "export/nbd/connection.h"

#include <linux/sockios.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <utility>

#include "export/nbd/file_reply.h"

namespace ashlar::nbd {

namespace {

bool is_unix_socket(int fd) noexcept {
  int domain = 0;
  socklen_t length = sizeof(domain);
  return getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &length) == 0 && domain == AF_UNIX;
}

}  // namespace

Connection::Connection(ConnectionOwner& owner, SessionMemory& memory, Lane& lane,
                       const Exports& exports, int fd,
                       std::optional<std::uint32_t> least_file_reply)
    : owner_(owner),
      memory_(memory),
      lane_(lane),
      exports_(exports),
      fd_(fd),
      is_unix_(is_unix_socket(fd)),
      least_file_reply_(
          least_file_reply.value_or(is_unix_ ? kLeastFileReplyUnix : kNoFileReplies)) {
  ExportDirectory& directory = *this;
  negotiation_.emplace(directory);
}

Connection::~Connection() {
  ASHLAR_ASSERT(finished());
  if (ready_link.linked()) ready_link.unlink();
}

Result<void> Connection::start() {
  events_ = EPOLLIN;
  if (auto watched = lane_.watch(fd_, events_, *this); !watched) {
    ::close(std::exchange(fd_, -1));
    return watched;
  }
  watched_ = true;
  deadline_.user = this;
  deadline_.expired = [](Timer& timer, Context&) noexcept {
    static_cast<Connection*>(timer.user)->close("the client did not choose an export in time");
  };
  lane_.arm(deadline_, lane_.now_ns() + kNegotiationNs);
  owner_.on_connection_ready(*this);
  return {};
}

void Connection::on_ready(std::uint32_t events) noexcept {
  owner_.on_connection_ready(*this);
  if (negotiation_) {
    if ((events & (EPOLLIN | EPOLLHUP | EPOLLERR)) != 0) receive_negotiation();
    return;
  }
  if (session_->wants_input()) {
    if ((events & (EPOLLIN | EPOLLHUP | EPOLLERR)) != 0) receive_requests();
  } else if ((events & (EPOLLHUP | EPOLLERR)) != 0) {
    on_hangup();
  }
}

// The client is gone while we do not read. Where it said goodbye before, its requests are carried
// out all the same; epoll would go on to report the hangup, so the socket is watched no more, and
// sending the replies will fail.
void Connection::on_hangup() noexcept {
  if (session_->state() == SessionState::open) {
    session_->abandon("the client closed the connection");
    return;
  }
  lane_.unwatch(fd_, *this);
  watched_ = false;
}

void Connection::settle() noexcept {
  if (fd_ >= 0 && negotiation_) settle_negotiation();
  if (fd_ >= 0 && session_) settle_session();
  if (fd_ < 0) {
    if (session_ && session_->idle()) session_.reset();  // Closes the device.
    return;
  }
  const std::uint32_t wanted = wanted_events();
  if (wanted == events_ || !watched_) return;
  events_ = wanted;
  lane_.rewatch(fd_, events_, *this);
}

void Connection::drain() noexcept {
  if (negotiation_) return close("");
  if (session_) session_->drain();
  owner_.on_connection_ready(*this);
}

void Connection::abandon(const char* reason) noexcept {
  if (session_) session_->abandon(reason);
  if (fd_ >= 0) close(reason);
}

std::uint32_t Connection::wanted_events() const noexcept {
  if (negotiation_) return negotiation_->output().empty() ? EPOLLIN : EPOLLOUT;
  std::uint32_t events = 0;
  if (session_->wants_input() && !rest_.armed) events |= EPOLLIN;
  if (session_->wants_output()) events |= EPOLLOUT;
  return events;
}

void Connection::close(std::string reason) noexcept {
  if (fd_ < 0) return;
  if (deadline_.armed) lane_.disarm(deadline_);
  if (rest_.armed) lane_.disarm(rest_);
  if (watched_) lane_.unwatch(fd_, *this);
  ::close(std::exchange(fd_, -1));
  reason_ = std::move(reason);
  negotiation_.reset();
  device_.reset();
  owner_.on_connection_ready(*this);
}

// --- negotiation ---------------------------------------------------------------------------------

Result<ExportInfo> Connection::choose(std::string_view name) {
  Result<Exports::Opened> opened = exports_.open(name);
  if (!opened) return opened.error();
  device_ = std::move(opened->device);
  return std::move(opened->info);
}

void Connection::receive_negotiation() noexcept {
  std::array<std::byte, 4096> bytes;
  const ssize_t count = recv(fd_, bytes.data(), bytes.size(), MSG_DONTWAIT);
  if (count == 0) return close("");
  if (count < 0) {
    if (errno != EAGAIN && errno != EINTR) close("receiving failed");
    return;
  }
  unfed_.insert(unfed_.end(), bytes.begin(), bytes.begin() + count);
}

void Connection::settle_negotiation() noexcept {
  // Each turn sends all output and takes the options that came, until one of the two has to wait.
  while (fd_ >= 0 && send_negotiation()) {
    if (negotiation_->state() == NegotiationState::closed) return close(negotiation_->reason());
    if (negotiation_->state() == NegotiationState::transmission) return enter_transmission();
    if (unfed_.empty()) return;
    feed_negotiation();
    if (negotiation_->output().empty() && negotiation_->state() == NegotiationState::haggling) {
      return;
    }
  }
}

void Connection::feed_negotiation() noexcept {
  const std::size_t used = negotiation_->feed(unfed_);
  unfed_.erase(unfed_.begin(), unfed_.begin() + static_cast<std::ptrdiff_t>(used));
}

// True where nothing is left to be sent.
bool Connection::send_negotiation() noexcept {
  while (!negotiation_->output().empty()) {
    const ByteView output = negotiation_->output();
    const ssize_t count = send(fd_, output.data(), output.size(), MSG_DONTWAIT | MSG_NOSIGNAL);
    if (count < 0) {
      if (errno != EAGAIN && errno != EINTR) close("the client closed the connection");
      return false;
    }
    negotiation_->sent(static_cast<std::size_t>(count));
  }
  return true;
}

void Connection::enter_transmission() noexcept {
  if (deadline_.armed) lane_.disarm(deadline_);
  auto session = Session::open(*this, memory_, lane_, std::move(device_), negotiation_->chosen(),
                               least_file_reply_);
  if (!session) return close(session.error().message);
  export_name_ = negotiation_->chosen().info.name;
  session_ = *std::move(session);
  negotiation_.reset();
  if (!session_->preload(unfed_)) session_->abandon("no memory to receive into");
  unfed_ = {};
}

// --- session -------------------------------------------------------------------------------------

void Connection::receive_requests() noexcept {
  session_->receive(fd_);
  received_ = true;
}

// What is unread is asked for before the replies go: they would be unread all. Of a unix socket
// only: of a TCP socket the system tells what the peer's system has not received.
std::uint64_t Connection::rest_ns() noexcept {
  if (!std::exchange(received_, false) || !session_->caught_up()) return 0;
  const std::uint64_t before = std::exchange(settled_requests_, session_->requests());
  if (!is_unix_ || !pacing_.wants_unread()) return 0;
  int unread_bytes = 0;
  if (ioctl(fd_, SIOCOUTQ, &unread_bytes) != 0 || unread_bytes < 0) return 0;
  return pacing_.rest(static_cast<std::uint32_t>(settled_requests_ - before),
                      static_cast<std::uint64_t>(unread_bytes));
}

void Connection::rest_until(std::uint64_t deadline_ns) noexcept {
  rest_.user = this;
  rest_.expired = [](Timer& timer, Context&) noexcept {
    auto& self = *static_cast<Connection*>(timer.user);
    self.owner_.on_connection_ready(self);
    if (self.session_->wants_input()) self.receive_requests();
  };
  lane_.arm(rest_, deadline_ns);
}

void Connection::settle_session() noexcept {
  const std::uint64_t rest = rest_ns();
  session_->send(fd_);
  if (rest > 0 && session_->wants_input() && !rest_.armed) rest_until(lane_.now_ns() + rest);
  if (session_->state() == SessionState::broken) return close(session_->reason());
  if (session_->state() == SessionState::draining && session_->idle()) close("");
}

}  // namespace ashlar::nbd
