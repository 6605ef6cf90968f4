// How bios pass from one context to another: in batches, through a mailbox for each hop, direction
// and generation.
//
//   sender's context                              receiver's context
//   hop --> outgoing: b3 b4 ...  -- a batch -->   arrived: b1 b2   --> run list
//           (the sender's own)   under the receiver's lock
//
// A context hands over what has gathered when it has run, and before it sleeps: one lock and at
// most one wake-up for a whole batch. A bounded mailbox (those that lead down, into a worker) takes
// kBatch bios, and no more until the receiver has taken them: the rest waits with its sender, who
// is told when there is room. So the queue of a worker is bounded by kBatch for each caller. The
// receiver takes from its mailboxes in turn, a bio from each, so that a caller with a deep queue
// does not keep others waiting behind it. Nobody spins.
//
// OWNERSHIP: a generation's; it outlives every bio in it.
// THREAD: `outgoing`, `waiting` and `sender_link` are the sender's; the rest is guarded by the lock
// of the context that is named beside it.
#pragma once

#include <cstdint>

#include "bio/bio.h"

namespace ashlar {

class Context;

struct Mailbox {
  // Deep enough that a lock and a wake-up are small beside the work; shallow enough to be fair.
  static constexpr std::uint32_t kBatch = 64;

  using Bios = List<Bio, &Bio::queue>;

  Mailbox() = default;
  Mailbox(const Mailbox&) = delete;
  Mailbox& operator=(const Mailbox&) = delete;

  // Moves a batch of what waits to `arrived`. Under the receiver's lock; THREAD: the sender's.
  void move_batch() noexcept {
    if (!bounded || waiting <= kBatch) {
      arrived.splice_back(outgoing);
      waiting = 0;
      return;
    }
    for (std::uint32_t i = 0; i < kBatch; ++i) arrived.push_back(*outgoing.pop_front());
    waiting -= kBatch;
  }

  Context* sender = nullptr;
  Context* receiver = nullptr;
  bool bounded = false;

  Bios outgoing;
  std::uint32_t waiting = 0;  // bios in `outgoing`
  ListLink sender_link;       // among the sender's mailboxes with something to hand over
  Bios arrived;               // receiver's lock
  ListLink receiver_link;     // receiver's lock: among those with something to take
  ListLink notice_link;       // the receiver's own: among those whose sender is to be told
  bool sender_waits = false;  // receiver's lock: there is more, tell the sender when there is room
  ListLink room_link;         // sender's lock: among those that have room again
};

// A hop's two, of one generation.
struct HopMail {
  Mailbox down;
  Mailbox up;
};

}  // namespace ashlar
