// An NBD client that costs as little as a client can: many requests in one send, many replies in
// one receive. It measures servers, not itself.
//
// The loop: fill the queue to its depth, send what was added in one call, receive what is there in
// one call, take every reply in it. Each reply's cookie must be one that is outstanding, and its
// error zero; of structured replies the offset and the length of the data too.
//
// THREAD: single-threaded, blocking.
#pragma once

#include <sys/socket.h>

#include <cstdint>
#include <random>
#include <string>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"
#include "export/nbd/protocol.h"

namespace ashlar::bench {

struct LeanOptions {
  std::string socket_path;
  std::uint16_t tcp_port = 0;  // not 0: of this machine, in place of the socket
  std::string export_name;     // "" is the server's default export
  bool write = false;
  bool structured_replies = false;
  std::uint32_t depth = 1;           // requests in flight
  std::uint32_t block_bytes = 4096;  // length and alignment of each request
  std::uint64_t count = 0;           // requests in all; 0: as many as fit into `seconds`
  double seconds = 1;                // no request is started after this time
};

struct LeanResult {
  std::uint64_t requests = 0;
  double seconds = 0;
  double client_cpu_seconds = 0;
  std::uint64_t receives = 0;  // system calls, to see how well replies came in batches
};

class LeanClient {
 public:
  // Most requests that are in flight: their headers fit any socket's buffer, so that a blocking
  // send of reads cannot wait for a server that waits for us.
  static constexpr std::uint32_t kMaxDepth = 1024;

  explicit LeanClient(const LeanOptions& options);
  LeanClient(const LeanClient&) = delete;
  LeanClient& operator=(const LeanClient&) = delete;
  ~LeanClient();

  // Connects, negotiates and runs. Errors: a sentence, also for any wrong reply.
  Result<LeanResult> run();

 private:
  struct Slot {
    std::uint64_t offset = 0;
    std::uint32_t generation = 0;
    bool busy = false;
  };

  Result<void> connect();
  Result<void> connect_to(const sockaddr& address, std::uint32_t length);
  Result<void> negotiate();
  Result<void> ask_structured_replies();
  Result<void> read_option_reply(std::uint32_t option, std::uint32_t& type,
                                 std::vector<std::byte>& data);
  Result<void> send_all(ByteView bytes);
  Result<void> receive_exactly(ByteSpan into);

  Result<void> send_requests(std::uint32_t count);
  Result<std::uint32_t> receive_replies();
  Result<std::uint32_t> take_replies();
  Result<std::size_t> take_reply(ByteView bytes);
  Result<void> finish(std::uint64_t cookie, std::uint32_t error, std::uint64_t offset);

  LeanOptions options_;
  int fd_ = -1;
  std::uint64_t size_bytes_ = 0;
  std::mt19937_64 random_{1};
  std::vector<Slot> slots_;
  std::vector<std::uint32_t> free_;
  std::vector<std::byte> out_;  // `depth` requests in a row, payloads already in place
  std::vector<std::byte> in_;
  std::size_t in_end_ = 0;      // bytes of in_ that hold the start of a reply header
  std::size_t skip_bytes_ = 0;  // data of the last reply that is still to come
  std::uint64_t receives_ = 0;
};

}  // namespace ashlar::bench
