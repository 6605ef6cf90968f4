// Where a server listens: "unix:PATH" or "HOST:PORT".
#pragma once

#include <string>
#include <string_view>

#include "base/result.h"

namespace ashlar::nbd {

// A listening socket. Moves; closes, and removes the path it made, when it is destroyed.
class ListenSocket {
 public:
  // Listens at `address`: "unix:PATH", "HOST:PORT", "[IPV6]:PORT", or ":PORT" for the loopback
  // address. A socket file that a dead server left behind is replaced, that of a living one is not.
  // Errors: invalid for a malformed address, what the system says for the rest.
  static Result<ListenSocket> open(std::string_view address);

  ListenSocket(ListenSocket&& other) noexcept;
  ListenSocket& operator=(ListenSocket&& other) noexcept;
  ~ListenSocket();

  int fd() const noexcept { return fd_; }
  // As a client would write it: "nbd+unix:///?socket=PATH" or "nbd://HOST:PORT", with the port
  // that the system chose where 0 was asked for.
  const std::string& uri() const noexcept { return uri_; }

 private:
  ListenSocket(int fd, std::string path, std::string uri)
      : fd_(fd), path_(std::move(path)), uri_(std::move(uri)) {}
  static Result<ListenSocket> open_unix(const std::string& path);
  static Result<ListenSocket> open_tcp(const std::string& host, const std::string& port);

  int fd_ = -1;
  std::string path_;  // to remove; empty for TCP
  std::string uri_;
};

}  // namespace ashlar::nbd
