// The author's face of a class with a step: typed pads, no `void *`.
//
//   struct CountPad { std::uint64_t began; };
//
//   class Count final : public StepClass<Count, CountPad> {
//    public:
//     static constexpr ClassFacts kFacts = {.name = "count", ...};
//     static Result<GeomPlan> create(const CreateArguments& arguments);
//     Verdict on_request(Bio& bio, CountPad& pad, Context& cx) noexcept;
//     Verdict on_complete(Bio& bio, CountPad& pad, Context& cx) noexcept;   // optional
//     void on_child(Bio& bio, Bio& child, CountPad& pad, Context& cx) noexcept;  // optional
//     void on_cancel(Bio& bio, CountPad& pad, Context& cx) noexcept;        // if it holds
//     std::optional<FileRange> file_range(offset, length) noexcept;         // of a leaf:
//     FileRangeFn
//     static constexpr bool kBuildsParts = true;                        // if it calls add_part()
//     using Local = CountLocal;                             // if it keeps state per
//     context, std::unique_ptr<Local> make_local(Context& cx);       // see LocalState and
//     program/local.h
//   };
//
// A pad is raw memory in the bio's frame: on_request fills it before on_complete reads it. It is
// neither constructed nor destroyed, so it must be trivial.
//
// CONTEXT: on_request and on_complete never block, never call another geom, hold no lock when they
// return. On the way up `bio.offset` is again what on_request got.
#pragma once

#include <type_traits>

#include "topology/class.h"

namespace ashlar {

struct NoPad {};

template <typename Derived, typename Pad = NoPad>
class StepClass : public GeomBody {
 public:
  StepCode step(std::uint32_t) override {
    static_assert(std::is_trivially_copyable_v<Pad> && std::is_trivially_destructible_v<Pad>);
    static_assert(alignof(Pad) <= 8, "pads are aligned to 8 bytes");
    StepCode code;
    code.body = static_cast<Derived*>(this);
    code.pad_bytes = std::is_empty_v<Pad> ? 0 : sizeof(Pad);
    code.on_request = [](void* body, Bio& bio, void* pad, Context& cx) noexcept {
      return static_cast<Derived*>(body)->on_request(bio, *static_cast<Pad*>(pad), cx);
    };
    if constexpr (requires(Derived & d, Bio & b, Pad & p, Context & c) {
                    d.on_complete(b, p, c);
                  }) {
      code.on_complete = [](void* body, Bio& bio, void* pad, Context& cx) noexcept {
        return static_cast<Derived*>(body)->on_complete(bio, *static_cast<Pad*>(pad), cx);
      };
    }
    if constexpr (requires(Derived & d, Bio & b, Pad & p, Context & c) {
                    d.on_child(b, b, p, c);
                  }) {
      code.on_child = [](void* body, Bio& bio, Bio& child, void* pad, Context& cx) noexcept {
        static_cast<Derived*>(body)->on_child(bio, child, *static_cast<Pad*>(pad), cx);
      };
    }
    if constexpr (requires(Derived & d, Bio & b, Pad & p, Context & c) { d.on_cancel(b, p, c); }) {
      code.on_cancel = [](void* body, Bio& bio, void* pad, Context& cx) noexcept {
        static_cast<Derived*>(body)->on_cancel(bio, *static_cast<Pad*>(pad), cx);
      };
    }
    if constexpr (requires(Derived & d, std::uint64_t n) { d.file_range(n, n); }) {
      code.file_range = [](void* body, std::uint64_t offset, std::uint64_t length) noexcept {
        return static_cast<Derived*>(body)->file_range(offset, length);
      };
    }
    if constexpr (requires { typename Derived::Local; }) {
      code.make_local = [](void* body, Context& cx) -> std::unique_ptr<LocalState> {
        return static_cast<Derived*>(body)->make_local(cx);
      };
    }
    if constexpr (requires(const Derived& d) { d.max_children(); }) {
      code.max_children = static_cast<Derived*>(this)->max_children();
    }
    if constexpr (requires { Derived::kBuildsParts; }) code.builds_parts = Derived::kBuildsParts;
    return code;
  }
};

// The body of a pure map: nothing to run.
class MapBody final : public GeomBody {};

}  // namespace ashlar
