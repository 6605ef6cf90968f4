// The lean NBD client; see lean_client.h.
#include "bench/nbd/lean_client.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <ctime>

namespace ashlar::bench {
namespace {

using namespace ashlar::nbd;

// Takes the replies to the deepest queue of small requests at once.
constexpr std::size_t kReceiveBytes = 1 * kMiB;

double cpu_seconds() {
  timespec now{};
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
  return static_cast<double>(now.tv_sec) + static_cast<double>(now.tv_nsec) * 1e-9;
}

double wall_seconds() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

}  // namespace

LeanClient::LeanClient(const LeanOptions& options) : options_(options), slots_(options.depth) {
  const std::size_t payload = options.write ? options.block_bytes : 0;
  out_.assign((kRequestHeaderBytes + payload) * options.depth, std::byte{0x5a});
  in_.resize(kReceiveBytes);
  for (std::uint32_t i = options.depth; i > 0; --i) free_.push_back(i - 1);
}

LeanClient::~LeanClient() {
  if (fd_ >= 0) close(fd_);
}

Result<LeanResult> LeanClient::run() {
  if (Result<void> ready = connect(); !ready) return ready.error();
  if (Result<void> ready = negotiate(); !ready) return ready.error();
  LeanResult result;
  const double begin = wall_seconds();
  const double cpu_begin = cpu_seconds();
  std::uint64_t started = 0;
  while (true) {
    const bool in_time = wall_seconds() - begin < options_.seconds;
    std::uint64_t wanted = in_time ? free_.size() : 0;
    if (options_.count > 0) wanted = std::min(wanted, options_.count - started);
    if (wanted > 0) {
      if (auto sent = send_requests(static_cast<std::uint32_t>(wanted)); !sent) return sent.error();
      started += wanted;
    }
    if (free_.size() == options_.depth) break;
    Result<std::uint32_t> taken = receive_replies();
    if (!taken) return taken.error();
    result.requests += *taken;
  }
  result.seconds = wall_seconds() - begin;
  result.client_cpu_seconds = cpu_seconds() - cpu_begin;
  result.receives = receives_;
  return result;
}

Result<void> LeanClient::connect() {
  if (options_.tcp_port != 0) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(options_.tcp_port);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    return connect_to(reinterpret_cast<const sockaddr&>(address), sizeof(address));
  }
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (options_.socket_path.size() >= sizeof(address.sun_path)) {
    return make_error(Errc::invalid, "the socket's path is too long");
  }
  std::ranges::copy(options_.socket_path, address.sun_path);
  return connect_to(reinterpret_cast<const sockaddr&>(address), sizeof(address));
}

Result<void> LeanClient::connect_to(const sockaddr& address, std::uint32_t length) {
  fd_ = socket(address.sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
  const int yes = 1;
  if (fd_ >= 0 && ::connect(fd_, &address, length) == 0) {
    setsockopt(fd_, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof(yes));  // Refused by unix sockets.
    return {};
  }
  return make_error(errc_from_errno(errno), "cannot connect: {}", std::strerror(errno));
}

Result<void> LeanClient::send_all(ByteView bytes) {
  while (!bytes.empty()) {
    const ssize_t count = send(fd_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (count < 0) return make_error(errc_from_errno(errno), "send: {}", std::strerror(errno));
    bytes = bytes.subspan(static_cast<std::size_t>(count));
  }
  return {};
}

Result<void> LeanClient::receive_exactly(ByteSpan into) {
  while (!into.empty()) {
    const ssize_t count = recv(fd_, into.data(), into.size(), 0);
    if (count <= 0) return make_error(Errc::disconnected, "the server closed the connection");
    into = into.subspan(static_cast<std::size_t>(count));
  }
  return {};
}

Result<void> LeanClient::read_option_reply(std::uint32_t option, std::uint32_t& type,
                                           std::vector<std::byte>& data) {
  std::array<std::byte, kOptionReplyHeaderBytes> header{};
  if (auto got = receive_exactly(header); !got) return got;
  if (load_be<std::uint64_t>(header, 0) != kOptionReplyMagic ||
      load_be<std::uint32_t>(header, 8) != option) {
    return make_error(Errc::corrupt, "a wrong option reply");
  }
  type = load_be<std::uint32_t>(header, 12);
  data.resize(load_be<std::uint32_t>(header, 16));
  return receive_exactly(data);
}

Result<void> LeanClient::ask_structured_replies() {
  std::array<std::byte, kOptionHeaderBytes> message{};
  const auto option = static_cast<std::uint32_t>(Option::structured_reply);
  store_be(ByteSpan(message), 0, kOptionMagic);
  store_be(ByteSpan(message), 8, option);
  if (auto sent = send_all(message); !sent) return sent;
  std::uint32_t type = 0;
  std::vector<std::byte> data;
  if (auto got = read_option_reply(option, type, data); !got) return got;
  if (type == static_cast<std::uint32_t>(OptionReply::ack)) return {};
  return make_error(Errc::unsupported, "the server has no structured replies");
}

Result<void> LeanClient::negotiate() {
  std::array<std::byte, kGreetingBytes> greeting{};
  if (auto got = receive_exactly(greeting); !got) return got;
  std::array<std::byte, kClientFlagsBytes> flags{};
  store_be(ByteSpan(flags), 0, std::uint32_t{kFixedNewstyle | kNoZeroes});
  if (auto sent = send_all(flags); !sent) return sent;
  if (options_.structured_replies) {
    if (auto asked = ask_structured_replies(); !asked) return asked;
  }
  const auto option = static_cast<std::uint32_t>(Option::go);
  const std::size_t name_bytes = options_.export_name.size();
  std::vector<std::byte> message(kOptionHeaderBytes + 6 + name_bytes);
  store_be(ByteSpan(message), 0, kOptionMagic);
  store_be(ByteSpan(message), 8, option);
  store_be(ByteSpan(message), 12, static_cast<std::uint32_t>(6 + name_bytes));
  store_be(ByteSpan(message), 16, static_cast<std::uint32_t>(name_bytes));
  std::ranges::copy(as_bytes(options_.export_name), message.begin() + 20);
  if (auto sent = send_all(message); !sent) return sent;
  while (true) {
    std::uint32_t type = 0;
    std::vector<std::byte> data;
    if (auto got = read_option_reply(option, type, data); !got) return got;
    if (type == static_cast<std::uint32_t>(OptionReply::ack)) break;
    if (type != static_cast<std::uint32_t>(OptionReply::info)) {
      return make_error(Errc::not_found, "the server refuses the export '{}'",
                        options_.export_name);
    }
    if (data.size() == 12 && load_be<std::uint16_t>(data, 0) == 0) {
      size_bytes_ = load_be<std::uint64_t>(data, 2);
    }
  }
  if (size_bytes_ >= options_.block_bytes) return {};
  return make_error(Errc::invalid, "the export is smaller than one request");
}

Result<void> LeanClient::send_requests(std::uint32_t count) {
  const std::uint64_t blocks = size_bytes_ / options_.block_bytes;
  const std::size_t stride = out_.size() / options_.depth;
  for (std::uint32_t i = 0; i < count; ++i) {
    const std::uint32_t index = free_.back();
    free_.pop_back();
    Slot& slot = slots_[index];
    slot.offset = random_() % blocks * options_.block_bytes;
    slot.busy = true;
    ++slot.generation;
    encode_request_header(RequestHeader{.magic = kRequestMagic,
                                        .flags = 0,
                                        .command = static_cast<std::uint16_t>(
                                            options_.write ? Command::write : Command::read),
                                        .cookie = std::uint64_t{slot.generation} << 32 | index,
                                        .offset = slot.offset,
                                        .length = options_.block_bytes},
                          ByteSpan(out_).subspan(i * stride, kRequestHeaderBytes));
  }
  return send_all(ByteView(out_).first(count * stride));
}

Result<std::uint32_t> LeanClient::receive_replies() {
  const ssize_t count = recv(fd_, in_.data() + in_end_, in_.size() - in_end_, 0);
  if (count <= 0) return make_error(Errc::disconnected, "the server closed the connection");
  ++receives_;
  in_end_ += static_cast<std::size_t>(count);
  return take_replies();
}

// Takes every whole header in the buffer and the data behind it; what is left of a header is moved
// to the front, what is missing of data is skipped when it comes.
Result<std::uint32_t> LeanClient::take_replies() {
  std::uint32_t taken = 0;
  std::size_t at = std::min(skip_bytes_, in_end_);
  skip_bytes_ -= at;
  if (at > 0 && skip_bytes_ == 0) ++taken;
  while (at < in_end_) {
    Result<std::size_t> length = take_reply(ByteView(in_).subspan(at, in_end_ - at));
    if (!length) return length.error();
    if (*length == 0) break;
    const std::size_t here = std::min(*length, in_end_ - at);
    at += here;
    skip_bytes_ = *length - here;
    if (skip_bytes_ == 0) ++taken;
  }
  std::memmove(in_.data(), in_.data() + at, in_end_ - at);
  in_end_ -= at;
  return taken;
}

// Judges the reply whose header lies at the front and returns its length with all its data, or 0
// where the header is not whole yet.
Result<std::size_t> LeanClient::take_reply(ByteView bytes) {
  if (bytes.size() < kSimpleReplyBytes) return std::size_t{0};
  const auto magic = load_be<std::uint32_t>(bytes, 0);
  const auto cookie = load_be<std::uint64_t>(bytes, 8);
  const std::size_t data = options_.write ? 0 : options_.block_bytes;
  if (magic == kSimpleReplyMagic && (options_.write || !options_.structured_replies)) {
    if (auto ok = finish(cookie, load_be<std::uint32_t>(bytes, 4), UINT64_MAX); !ok) {
      return ok.error();
    }
    return kSimpleReplyBytes + data;
  }
  if (magic != kStructuredReplyMagic || !options_.structured_replies) {
    return make_error(Errc::corrupt, "a reply begins with {:#x}", magic);
  }
  const auto type = static_cast<Chunk>(load_be<std::uint16_t>(bytes, 6));
  const std::size_t header = kChunkHeaderBytes + (type == Chunk::offset_data ? 8 : 0);
  if (bytes.size() < header) return std::size_t{0};
  const auto length = load_be<std::uint32_t>(bytes, 16);
  const bool done = (load_be<std::uint16_t>(bytes, 4) & kReplyDone) != 0;
  if (type == Chunk::none && length == 0) {
    if (auto ok = finish(cookie, 0, UINT64_MAX); !ok) return ok.error();
    return kChunkHeaderBytes;
  }
  if (type != Chunk::offset_data || !done || length != 8 + data) {
    return make_error(Errc::io, "an error or an unexpected chunk (type {:#x}, {} bytes)",
                      static_cast<unsigned>(type), length);
  }
  if (auto ok = finish(cookie, 0, load_be<std::uint64_t>(bytes, 20)); !ok) return ok.error();
  return header + data;
}

Result<void> LeanClient::finish(std::uint64_t cookie, std::uint32_t error, std::uint64_t offset) {
  const std::uint64_t index = cookie & 0xffffffff;
  if (index >= slots_.size() || !slots_[index].busy ||
      slots_[index].generation != static_cast<std::uint32_t>(cookie >> 32)) {
    return make_error(Errc::corrupt, "a reply to a request that was not sent: {:#x}", cookie);
  }
  if (error != 0) return make_error(Errc::io, "a request failed with error {}", error);
  if (offset != UINT64_MAX && offset != slots_[index].offset) {
    return make_error(Errc::corrupt, "data of another offset than the request's");
  }
  slots_[index].busy = false;
  free_.push_back(static_cast<std::uint32_t>(index));
  return {};
}

}  // namespace ashlar::bench
