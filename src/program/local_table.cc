// The table of a context's states. Removal settles the places behind the gap anew, so that no
// search has to step over marks of what was there.
#include "program/local_table.h"

#include <utility>

namespace ashlar {

LocalTable::Place& LocalTable::place_of(const void* body) noexcept {
  const std::size_t mask = places_.size() - 1;
  std::size_t i = hash(body) & mask;
  while (places_[i].body != nullptr && places_[i].body != body) i = (i + 1) & mask;
  return places_[i];
}

void LocalTable::settle(std::vector<Place>& places, Place&& place) noexcept {
  const std::size_t mask = places.size() - 1;
  std::size_t i = hash(place.body) & mask;
  while (places[i].body != nullptr) i = (i + 1) & mask;
  places[i] = std::move(place);
}

void LocalTable::make_room() {
  if (2 * (taken_ + 1) <= places_.size()) return;
  std::vector<Place> wider(2 * places_.size());
  for (Place& each : places_) {
    if (each.body != nullptr) settle(wider, std::move(each));
  }
  places_.swap(wider);
}

LocalTable::Place& LocalTable::add(void* body, MakeLocalFn make, Context& cx) {
  make_room();
  std::unique_ptr<LocalState> state = make(body, cx);
  ASHLAR_ASSERT(state != nullptr);
  Place& place = place_of(body);
  place.body = body;
  place.state = std::move(state);
  place.number = ++made_;
  ++taken_;
  return place;
}

void LocalTable::hold(void* body, MakeLocalFn make, Context& cx) {
  Place& known = place_of(body);
  Place& place = known.body != nullptr ? known : add(body, make, cx);
  ++place.uses;
}

void LocalTable::release(const void* body) noexcept {
  Place& place = place_of(body);
  ASHLAR_ASSERT(place.body == body && place.uses > 0);
  if (--place.uses == 0) forget(body);
}

void LocalTable::forget(const void* body) noexcept {
  Place& place = place_of(body);
  ASHLAR_ASSERT(place.body == body);
  const std::unique_ptr<LocalState> ended = std::move(place.state);
  place = Place{};
  --taken_;
  const std::size_t mask = places_.size() - 1;
  auto i = static_cast<std::size_t>(&place - places_.data());
  for (i = (i + 1) & mask; places_[i].body != nullptr; i = (i + 1) & mask) {
    settle(places_, std::exchange(places_[i], Place{}));
  }
}

LocalState& LocalTable::find_or_make(void* body, MakeLocalFn make, Context& cx) {
  LocalState* known = find(body);
  return known != nullptr ? *known : *add(body, make, cx).state;
}

// In the order in which they were made, so that a run does not depend on addresses. What attend()
// adds or removes meanwhile does no harm: each is looked for anew.
void LocalTable::attend(Context& cx) noexcept {
  std::uint64_t last = 0;
  for (;;) {
    Place* next = nullptr;
    for (Place& each : places_) {
      if (each.body == nullptr || each.number <= last) continue;
      if (next == nullptr || each.number < next->number) next = &each;
    }
    if (next == nullptr) return;
    last = next->number;
    next->state->attend(cx);
  }
}

void LocalTable::clear() noexcept {
  for (Place& each : places_) each = Place{};
  taken_ = 0;
}

}  // namespace ashlar
