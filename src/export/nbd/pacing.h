// When to look at a client's socket again: at once it has something, or only in a while.
//
// A client that sends its requests one by one while it still has replies to take (a deep queue, a
// system call for each request) wakes a server that answers faster than it asks once for every
// request, and pays for the waking itself. Such a client does not wait for us: as long as it has
// replies to take, its socket may be left alone, and the requests that gather are answered
// together. That it has is known, not guessed: a unix socket tells how much of what was sent the
// peer has not received yet (SIOCOUTQ).
//
//   batch answered -> rest(requests, unread) -> 0: wait for the socket, as usual
//                                            -> n: do not look for n ns, then take what is there
//
// The rest is found by feeling: a little longer while the client is busy each time, a good deal
// shorter when it had run dry, unless with a whole queue of requests. A client with one request in
// flight has always taken its reply before it asks again, so it is never left to wait.
//
// THREAD: values only.
#pragma once

#include <cstdint>

namespace ashlar::nbd {

class Pacing {
 public:
  static constexpr std::uint64_t kFirstNs = 60'000;
  // Below this a timer costs more than the waking that it saves.
  static constexpr std::uint64_t kShortestNs = 50'000;
  // What a client whose queue runs dry may wait at most.
  static constexpr std::uint64_t kLongestNs = 400'000;
  // A client that sends more at once has its requests answered together without our help.
  static constexpr std::uint32_t kFewRequests = 16;
  // Enough to share the cost of one waking.
  static constexpr std::uint32_t kEnoughRequests = 24;
  // Wakings between two looks at what a client has not received: a system call each.
  static constexpr std::uint32_t kFirstInterval = 8;
  static constexpr std::uint32_t kLongestInterval = 256;

  // True where rest() wants to know what is unread. Call once for each batch, before rest().
  bool wants_unread() noexcept;

  // After a batch of `requests` that is answered now; `unread_bytes` of earlier replies are with
  // the client still. Returns for how many nanoseconds the socket shall be left alone, 0 for not at
  // all. REQUIRES: wants_unread() said so.
  std::uint64_t rest(std::uint32_t requests, std::uint64_t unread_bytes) noexcept;

 private:
  std::uint64_t stop() noexcept;

  std::uint64_t rest_ns_ = 0;  // of the last rest; 0: not resting
  std::uint32_t interval_ = kFirstInterval;
  std::uint32_t wakings_ = 0;  // since the last look
};

}  // namespace ashlar::nbd
