// A file descriptor with one owner. Every descriptor of ours lives in one of these from the line
// it is born; a raw int appears only inside a system call.
#pragma once

#include <unistd.h>

#include <concepts>
#include <utility>

namespace portsentry {

class UniqueFd {
 public:
  UniqueFd() = default;
  explicit UniqueFd(int fd) : fd_(fd) {}
  UniqueFd(const UniqueFd&) = delete;
  UniqueFd& operator=(const UniqueFd&) = delete;
  UniqueFd(UniqueFd&& other) noexcept : fd_(other.release()) {}
  UniqueFd& operator=(UniqueFd&& other) noexcept {
    if (this != &other) reset(other.release());
    return *this;
  }
  ~UniqueFd() { reset(); }

  // The descriptor, still owned by this object; -1 when empty.
  [[nodiscard]] int get() const { return fd_; }
  [[nodiscard]] explicit operator bool() const { return fd_ >= 0; }

  // Gives ownership to the caller.
  [[nodiscard]] int release() { return std::exchange(fd_, -1); }

  void reset(int fd = -1) {
    // close() is not retried on EINTR: Linux has closed the descriptor by then (close(2), NOTES).
    if (fd_ >= 0) ::close(fd_);
    fd_ = fd;
  }

 private:
  int fd_ = -1;
};

static_assert(!std::copyable<UniqueFd> && std::movable<UniqueFd>);

}  // namespace portsentry
