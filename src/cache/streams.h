// Who reads in sequence: a few places where a reader was last, and how far it had come in one go.
//
//   observe(100, 104) -> 0       nobody was at 100
//   observe(104, 108) -> 4       somebody goes on: as much again as it has read, up to a bound
//   observe(108, 112) -> 8
//
// A reader that another one pushes out of the table is a new one. THREAD: none; the owner guards
// it.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>

namespace ashlar::cache {

class Streams {
 public:
  // Somebody reads the blocks [first, behind): how many behind them are worth reading too.
  std::uint64_t observe(std::uint64_t first, std::uint64_t behind, std::uint64_t most) noexcept {
    ++now_;
    Stream* oldest = &streams_.front();
    for (Stream& each : streams_) {
      // A reader of less than a block is at the same one again.
      if (each.used != 0 && each.next >= first && each.next <= first + 1 && behind >= each.next) {
        each.read += behind - each.next;
        each.next = behind;
        each.used = now_;
        return std::min(each.read, most);
      }
      if (each.used < oldest->used) oldest = &each;
    }
    *oldest = {behind, behind - first, now_};
    return 0;
  }

 private:
  struct Stream {
    std::uint64_t next = 0;  // block
    std::uint64_t read = 0;  // blocks, in sequence
    std::uint64_t used = 0;  // 0: nobody's
  };
  std::array<Stream, 8> streams_;
  std::uint64_t now_ = 0;
};

}  // namespace ashlar::cache
