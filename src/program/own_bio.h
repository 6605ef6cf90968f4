// Bios in a caller's own memory: on a stack, in an object, in an array of his.
//
//   OwnBio<256> request;                      // 256 bytes for the frame
//   request.bio().op = Op::read; ...
//   channel.submit(request.bio());            // as with one that the channel allocated
//
// Where the room is at least `channel.frame_bytes()` the bio runs as it is. Where it is not (the
// device grew a layer since), a clone from the channel's pool runs in its place, and the channel
// counts it in `short_frames()`, so that somebody can see the share and give more room.
//
// The same bio may go to different devices, one after the other. The memory must stay where it is
// while the bio is under way.
#pragma once

#include <cstddef>
#include <new>

#include "bio/bio.h"

namespace ashlar {

// Makes a bio in `bytes` bytes of memory, aligned to 64, of which what lies behind the bio is its
// frame; more than Bio::kMaxRoomBytes of that is not used. The bio is destroyed with its memory.
// REQUIRES: room for a bio and its fault record.
inline Bio& place_bio(void* memory, std::size_t bytes) noexcept {
  ASHLAR_ASSERT(reinterpret_cast<std::uintptr_t>(memory) % 64 == 0);
  ASHLAR_ASSERT(bytes >= sizeof(Bio) + Bio::kRoomUnit);
  std::size_t room = bytes - sizeof(Bio);
  if (room > Bio::kMaxRoomBytes) room = Bio::kMaxRoomBytes;
  Bio* bio = new (memory) Bio;
  bio->room = static_cast<std::uint8_t>(room / Bio::kRoomUnit);
  return *bio;
}

template <std::size_t kFrameBytes>
class OwnBio {
 public:
  OwnBio() noexcept { place_bio(memory_, sizeof(memory_)); }
  OwnBio(const OwnBio&) = delete;
  OwnBio& operator=(const OwnBio&) = delete;

  Bio& bio() noexcept { return *std::launder(reinterpret_cast<Bio*>(memory_)); }

 private:
  static constexpr std::size_t kRoom =
      (kFrameBytes + Bio::kRoomUnit - 1) / Bio::kRoomUnit * Bio::kRoomUnit;
  static_assert(kRoom > 0 && kRoom <= Bio::kMaxRoomBytes);
  alignas(64) std::byte memory_[sizeof(Bio) + kRoom];
};

}  // namespace ashlar
