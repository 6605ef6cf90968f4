// A blocking NBD client for tests of the server: it can do what a proper client does, and, through
// `send_bytes`, anything else.
//
//   NbdClient client(path);
//   ASSERT_TRUE(client.go("disk", /*structured=*/true));
//   EXPECT_EQ(client.write(0, bytes), 0u);
#pragma once

#include <gtest/gtest.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <string>
#include <vector>

#include "export/nbd/protocol.h"

namespace ashlar::test {

using Bytes = std::vector<std::byte>;

struct NbdReply {
  std::uint64_t cookie = 0;
  std::uint32_t error = 0;
  std::string message;  // of a structured error
  std::uint64_t offset = 0;
  Bytes data;
};

class NbdClient {
 public:
  explicit NbdClient(const std::string& path) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::copy(path.begin(), path.end(), address.sun_path);
    fd_ = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    const int result = connect(fd_, reinterpret_cast<sockaddr*>(&address), sizeof(address));
    EXPECT_EQ(result, 0) << path;
  }
  // Over TCP, to this machine.
  explicit NbdClient(std::uint16_t port) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(port);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    fd_ = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    const int result = connect(fd_, reinterpret_cast<sockaddr*>(&address), sizeof(address));
    EXPECT_EQ(result, 0) << port;
  }
  NbdClient(const NbdClient&) = delete;
  NbdClient& operator=(const NbdClient&) = delete;
  ~NbdClient() { vanish(); }

  // Closes the socket without a word.
  void vanish() {
    if (fd_ >= 0) close(fd_);
    fd_ = -1;
  }
  void stop_sending() { shutdown(fd_, SHUT_WR); }

  void send_bytes(ByteView bytes) {
    while (!bytes.empty()) {
      const ssize_t count = send(fd_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
      if (count <= 0) return;
      bytes = bytes.subspan(static_cast<std::size_t>(count));
    }
  }

  // False where the server closed the connection before.
  bool receive_bytes(ByteSpan into) {
    while (!into.empty()) {
      const ssize_t count = recv(fd_, into.data(), into.size(), 0);
      if (count <= 0) return false;
      into = into.subspan(static_cast<std::size_t>(count));
    }
    return true;
  }

  // True where the server closes the connection (after whatever it still sends).
  bool is_closed_by_server() {
    std::byte one;
    pollfd wait{.fd = fd_, .events = POLLIN, .revents = 0};
    while (poll(&wait, 1, 10'000) == 1) {
      if (recv(fd_, &one, 1, 0) <= 0) return true;
    }
    return false;
  }

  // Greeting, flags, GO; false where the server refuses, with `refusal`.
  bool go(std::string_view name, bool structured) {
    structured_ = structured;
    Bytes greeting(nbd::kGreetingBytes);
    if (!receive_bytes(greeting)) return false;
    Bytes flags(4);
    store_be(ByteSpan(flags), 0, std::uint32_t{3});
    send_bytes(flags);
    if (structured && !option(nbd::Option::structured_reply, {})) return false;
    Bytes data(6 + name.size());
    store_be(ByteSpan(data), 0, static_cast<std::uint32_t>(name.size()));
    std::ranges::copy(as_bytes(name), data.begin() + 4);
    return option(nbd::Option::go, data);
  }

  bool option(nbd::Option which, const Bytes& data) {
    Bytes message(nbd::kOptionHeaderBytes);
    store_be(ByteSpan(message), 0, nbd::kOptionMagic);
    store_be(ByteSpan(message), 8, static_cast<std::uint32_t>(which));
    store_be(ByteSpan(message), 12, static_cast<std::uint32_t>(data.size()));
    message.insert(message.end(), data.begin(), data.end());
    send_bytes(message);
    return receive_option_replies();
  }

  static Bytes request(nbd::Command command, std::uint64_t cookie, std::uint64_t offset,
                       std::uint32_t length, std::uint16_t flags = 0, ByteView payload = {}) {
    Bytes message(nbd::kRequestHeaderBytes);
    encode_request_header(nbd::RequestHeader{.magic = nbd::kRequestMagic,
                                             .flags = flags,
                                             .command = static_cast<std::uint16_t>(command),
                                             .cookie = cookie,
                                             .offset = offset,
                                             .length = length},
                          message);
    message.insert(message.end(), payload.begin(), payload.end());
    return message;
  }

  // The next reply; `read_bytes` is the length of the read that it answers in the simple form.
  NbdReply receive_reply(std::size_t read_bytes = 0) {
    NbdReply reply;
    Bytes head(nbd::kSimpleReplyBytes);
    if (!receive_bytes(head)) {
      ADD_FAILURE() << "the server closed the connection";
      return reply;
    }
    reply.cookie = load_be<std::uint64_t>(head, 8);
    if (load_be<std::uint32_t>(head, 0) == nbd::kSimpleReplyMagic) {
      reply.error = load_be<std::uint32_t>(head, 4);
      reply.data.resize(reply.error == 0 ? read_bytes : 0);
      EXPECT_TRUE(receive_bytes(reply.data));
      return reply;
    }
    EXPECT_EQ(load_be<std::uint32_t>(head, 0), nbd::kStructuredReplyMagic);
    EXPECT_TRUE(structured_);
    receive_chunk(load_be<std::uint16_t>(head, 6), reply);
    return reply;
  }

  // One request and its reply; the error.
  std::uint32_t write(std::uint64_t offset, ByteView bytes, std::uint16_t flags = 0) {
    send_bytes(request(nbd::Command::write, 1, offset, static_cast<std::uint32_t>(bytes.size()),
                       flags, bytes));
    return receive_reply().error;
  }
  std::uint32_t command(nbd::Command command, std::uint64_t offset, std::uint32_t length,
                        std::uint16_t flags = 0) {
    send_bytes(request(command, 1, offset, length, flags));
    return receive_reply().error;
  }
  NbdReply read(std::uint64_t offset, std::uint32_t length) {
    send_bytes(request(nbd::Command::read, 1, offset, length));
    return receive_reply(length);
  }

  std::uint64_t size_bytes = 0;
  std::uint16_t transmission_flags = 0;
  std::uint32_t option_error = 0;
  std::string refusal;  // of an option: the server's sentence

 private:
  bool receive_option_replies() {
    while (true) {
      Bytes head(nbd::kOptionReplyHeaderBytes);
      if (!receive_bytes(head)) return false;
      const auto type = load_be<std::uint32_t>(head, 12);
      Bytes data(load_be<std::uint32_t>(head, 16));
      if (!receive_bytes(data)) return false;
      if (type == static_cast<std::uint32_t>(nbd::OptionReply::ack)) return true;
      if ((type & 0x80000000) != 0) {
        option_error = type;
        refusal.assign(reinterpret_cast<const char*>(data.data()), data.size());
        return false;
      }
      if (data.size() == 12 && load_be<std::uint16_t>(data, 0) == 0) {
        size_bytes = load_be<std::uint64_t>(data, 2);
        transmission_flags = load_be<std::uint16_t>(data, 10);
      }
    }
  }

  void receive_chunk(std::uint16_t type, NbdReply& reply) {
    Bytes length(4);
    EXPECT_TRUE(receive_bytes(length));
    Bytes payload(load_be<std::uint32_t>(length, 0));
    EXPECT_TRUE(receive_bytes(payload));
    if (type == static_cast<std::uint16_t>(nbd::Chunk::offset_data)) {
      reply.offset = load_be<std::uint64_t>(payload, 0);
      reply.data.assign(payload.begin() + 8, payload.end());
    } else if (type == static_cast<std::uint16_t>(nbd::Chunk::error)) {
      reply.error = load_be<std::uint32_t>(payload, 0);
      reply.message.assign(reinterpret_cast<const char*>(payload.data()) + 6, payload.size() - 6);
    } else {
      EXPECT_EQ(type, static_cast<std::uint16_t>(nbd::Chunk::none));
    }
  }

  int fd_ = -1;
  bool structured_ = false;
};

}  // namespace ashlar::test
