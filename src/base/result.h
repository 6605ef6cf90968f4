// Result<T>: what the control path returns. A value, or an Error with a code and one sentence.
//
//   Result<Table> parse(Bytes sector);
//   ...
//   Result<Table> table = parse(sector);
//   if (!table) return table.error();          // converts to any Result<U>
//   use(*table);
//
// The data path never uses it: it carries an Errc in the bio and allocates nothing.
#pragma once

#include <fmt/core.h>

#include <string>
#include <utility>
#include <variant>

#include "base/assert.h"
#include "base/errc.h"

namespace ashlar {

// `message` is a sentence without a full stop, naming the layer, the disk and the byte where it
// can: "gpt: disk0: header CRC at byte 512 does not match".
struct [[nodiscard]] Error {
  Errc code = Errc::io;
  std::string message;
};

// Builds an Error with a formatted sentence.
template <typename... Args>
Error make_error(Errc code, fmt::format_string<Args...> format, Args&&... args) {
  return Error{code, fmt::format(format, std::forward<Args>(args)...)};
}

template <typename T>
class [[nodiscard]] Result {
 public:
  Result(T value) : state_(std::in_place_index<0>, std::move(value)) {}
  Result(Error error) : state_(std::in_place_index<1>, std::move(error)) {}

  bool ok() const noexcept { return state_.index() == 0; }
  explicit operator bool() const noexcept { return ok(); }

  // REQUIRES: ok().
  T& value() & {
    ASHLAR_ASSERT(ok());
    return *std::get_if<0>(&state_);
  }
  const T& value() const& {
    ASHLAR_ASSERT(ok());
    return *std::get_if<0>(&state_);
  }
  T&& value() && {
    ASHLAR_ASSERT(ok());
    return std::move(*std::get_if<0>(&state_));
  }
  T& operator*() & { return value(); }
  const T& operator*() const& { return value(); }
  T&& operator*() && { return std::move(*this).value(); }
  T* operator->() { return &value(); }
  const T* operator->() const { return &value(); }

  // REQUIRES: !ok().
  const Error& error() const {
    ASHLAR_ASSERT(!ok());
    return *std::get_if<1>(&state_);
  }

 private:
  std::variant<T, Error> state_;
};

template <>
class [[nodiscard]] Result<void> {
 public:
  Result() = default;
  Result(Error error) : error_(std::move(error)), ok_(false) {}

  bool ok() const noexcept { return ok_; }
  explicit operator bool() const noexcept { return ok_; }

  // REQUIRES: !ok().
  const Error& error() const {
    ASHLAR_ASSERT(!ok_);
    return error_;
  }

 private:
  Error error_;
  bool ok_ = true;
};

}  // namespace ashlar
