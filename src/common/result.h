// Result<T>: a value, or an Error that the caller handles here (STYLE: the "expected" kind of
// error). The names are those of std::expected, which g++ 12 does not have in C++20 mode.
#pragma once

#include <cstdlib>
#include <cstring>
#include <optional>
#include <string>
#include <utility>
#include <variant>

namespace portsentry {

// What was attempted, on what, and why it failed; printable as it is, without a trailing full stop.
struct Error {
  std::string what;
  int code = 0;  // errno, where the failure came from a system call; else 0

  // "open /x: Permission denied" from the errno given.
  static Error from_errno(std::string what, int code) {
    what += ": ";
    what += std::strerror(code);
    return Error{std::move(what), code};
  }
};

template <class T>
class [[nodiscard]] Result {
 public:
  Result(T value)
      : state_(std::in_place_index<0>, std::move(value)) {}  // NOLINT(google-explicit-constructor)
  Result(Error error)
      : state_(std::in_place_index<1>, std::move(error)) {}  // NOLINT(google-explicit-constructor)

  [[nodiscard]] bool has_value() const { return state_.index() == 0; }
  [[nodiscard]] explicit operator bool() const { return has_value(); }

  // Asking for the wrong half is a bug of ours: the process ends.
  [[nodiscard]] T& value() & { return *require(std::get_if<0>(&state_)); }
  [[nodiscard]] const T& value() const& { return *require(std::get_if<0>(&state_)); }
  [[nodiscard]] T&& value() && { return std::move(*require(std::get_if<0>(&state_))); }
  [[nodiscard]] const Error& error() const { return *require(std::get_if<1>(&state_)); }

  [[nodiscard]] T& operator*() & { return value(); }
  [[nodiscard]] const T& operator*() const& { return value(); }
  [[nodiscard]] T* operator->() { return &value(); }
  [[nodiscard]] const T* operator->() const { return &value(); }

 private:
  template <class P>
  static P require(P pointer) {
    if (pointer == nullptr) std::abort();
    return pointer;
  }
  std::variant<T, Error> state_;
};

// Success carries nothing.
template <>
class [[nodiscard]] Result<void> {
 public:
  Result() = default;
  Result(Error error) : error_(std::move(error)) {}  // NOLINT(google-explicit-constructor)

  [[nodiscard]] bool has_value() const { return !error_.has_value(); }
  [[nodiscard]] explicit operator bool() const { return has_value(); }
  [[nodiscard]] const Error& error() const {
    if (!error_.has_value()) std::abort();
    return *error_;
  }

 private:
  std::optional<Error> error_;
};

}  // namespace portsentry
