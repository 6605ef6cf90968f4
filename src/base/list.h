// An intrusive doubly linked list: the links live in the element, so linking never allocates.
//
//   struct Job { ListLink link; ... };
//   List<Job, &Job::link> jobs;
//
// OWNERSHIP: the list owns nothing. An element is in at most one list per link, and must be
// unlinked before it is destroyed (asserted by ~ListLink).
// THREAD: none; the owner of the list guards it.
#pragma once

#include <cstddef>
#include <cstdint>

#include "base/assert.h"

namespace ashlar {

struct ListLink {
  ListLink* next = nullptr;
  ListLink* previous = nullptr;

  ListLink() = default;
  ListLink(const ListLink&) = delete;
  ListLink& operator=(const ListLink&) = delete;
  ~ListLink() { ASHLAR_ASSERT(!linked()); }

  bool linked() const noexcept { return next != nullptr; }

  // REQUIRES: linked().
  void unlink() noexcept {
    ASHLAR_ASSERT(linked());
    previous->next = next;
    next->previous = previous;
    next = nullptr;
    previous = nullptr;
  }
};

template <typename T, ListLink T::*kLink>
class List {
 public:
  List() noexcept { reset(); }
  List(const List&) = delete;
  List& operator=(const List&) = delete;
  ~List() {
    ASHLAR_ASSERT(empty());
    head_.next = nullptr;  // So that ~ListLink of the head does not mistake it for an element.
  }

  bool empty() const noexcept { return head_.next == &head_; }

  T& front() noexcept {
    ASHLAR_ASSERT(!empty());
    return *owner(head_.next);
  }

  void push_back(T& element) noexcept { insert_before(&head_, &(element.*kLink)); }
  void push_front(T& element) noexcept { insert_before(head_.next, &(element.*kLink)); }

  // Unlinks and returns the first element, or null when the list is empty.
  T* pop_front() noexcept {
    if (empty()) return nullptr;
    T* element = owner(head_.next);
    (element->*kLink).unlink();
    return element;
  }

  // The element behind `element`, or null at the end.
  T* next(T& element) noexcept {
    ListLink* link = (element.*kLink).next;
    return link == &head_ ? nullptr : owner(link);
  }

  // Moves every element of `other` to this list's end, keeping their order.
  void splice_back(List& other) noexcept {
    if (other.empty()) return;
    ListLink* first = other.head_.next;
    ListLink* last = other.head_.previous;
    first->previous = head_.previous;
    head_.previous->next = first;
    last->next = &head_;
    head_.previous = last;
    other.reset();
  }

 private:
  void reset() noexcept { head_.next = head_.previous = &head_; }

  static void insert_before(ListLink* position, ListLink* link) noexcept {
    ASHLAR_ASSERT(!link->linked());
    link->next = position;
    link->previous = position->previous;
    position->previous->next = link;
    position->previous = link;
  }

  static T* owner(ListLink* link) noexcept {
    // The distance of the link within T, from an address that is never dereferenced: a member
    // pointer has no offsetof.
    const T* base = reinterpret_cast<const T*>(std::uintptr_t{4096});
    const auto distance = reinterpret_cast<std::uintptr_t>(&(base->*kLink)) - 4096;
    return reinterpret_cast<T*>(reinterpret_cast<std::byte*>(link) - distance);
  }

  ListLink head_;
};

}  // namespace ashlar
