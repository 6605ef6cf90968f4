// The states that bodies keep in one context, found by the body's address: open addressing, one
// probe as a rule. See LocalState (topology/step.h) for the contract and program/local.h for use.
//
// THREAD: the context's.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "topology/step.h"

namespace ashlar {

class LocalTable {
 public:
  LocalTable() : places_(kLeastPlaces) {}
  LocalTable(const LocalTable&) = delete;
  LocalTable& operator=(const LocalTable&) = delete;

  // Null when `body` has none here.
  LocalState* find(const void* body) const noexcept {
    const std::size_t mask = places_.size() - 1;
    for (std::size_t i = hash(body) & mask;; i = (i + 1) & mask) {
      if (places_[i].body == body) [[likely]]
        return places_[i].state.get();
      if (places_[i].body == nullptr) return nullptr;
    }
  }

  // Makes the state of `body` unless it is there, and counts one use. Throws std::bad_alloc, and
  // nothing has changed.
  void hold(void* body, MakeLocalFn make, Context& cx);

  // Ends one use; the last ends the state. REQUIRES: held.
  void release(const void* body) noexcept;

  // Ends the state of `body`, whatever uses were counted. REQUIRES: it is there.
  void forget(const void* body) noexcept;

  // The state of `body`, made now when it is not there.
  LocalState& find_or_make(void* body, MakeLocalFn make, Context& cx);

  // Calls attend() of every state, the oldest first.
  void attend(Context& cx) noexcept;

  // Ends every state, whatever uses were counted.
  void clear() noexcept;

 private:
  // A power of two; at most half of the places are taken, so that every search ends.
  static constexpr std::size_t kLeastPlaces = 8;

  struct Place {
    const void* body = nullptr;
    std::unique_ptr<LocalState> state;
    std::uint32_t uses = 0;
    std::uint64_t number = 0;  // in the order in which they were made, from 1 on
  };

  // Bodies come from the allocator: the low bits say little.
  static std::size_t hash(const void* body) noexcept {
    const auto address = reinterpret_cast<std::uintptr_t>(body);
    return static_cast<std::size_t>((address * 0x9e3779b97f4a7c15u) >> 40);
  }

  Place& place_of(const void* body) noexcept;
  static void settle(std::vector<Place>& places, Place&& place) noexcept;
  void make_room();
  Place& add(void* body, MakeLocalFn make, Context& cx);

  std::vector<Place> places_;
  std::size_t taken_ = 0;
  std::uint64_t made_ = 0;
};

}  // namespace ashlar
