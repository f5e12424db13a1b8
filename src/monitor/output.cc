#include "monitor/output.h"

#include <poll.h>
#include <unistd.h>

#include <cerrno>

namespace portsentry::monitor {

bool LineOutput::write_now(std::string_view line) {
  pollfd target{.fd = fd_, .events = POLLOUT, .revents = 0};
  // For a pipe POLLOUT means that PIPE_BUF bytes fit, so the write below cannot block (pipe(7)).
  if (::poll(&target, 1, stalled_ ? 0 : kPatienceMs) <= 0) {
    stalled_ = true;
    return false;
  }
  stalled_ = false;
  std::string text(line.substr(0, kLongest));
  text += '\n';
  ssize_t written = 0;
  do {
    written = ::write(fd_, text.data(), text.size());
  } while (written < 0 && errno == EINTR);
  return written == static_cast<ssize_t>(text.size());
}

void LineOutput::write(std::string_view line) {
  if (untold_ > 0) {
    const std::string told =
        "adminalert: " + std::to_string(untold_) + " log lines were lost (output not writable)";
    if (write_now(told)) untold_ = 0;
  }
  if (untold_ > 0 || !write_now(line)) {
    lost_ += 1;
    untold_ += 1;
  }
}

std::optional<Error> RecordFile::failed(const char* what, int code) {
  failures_ += 1;
  if (std::exchange(failing_, true)) return std::nullopt;
  return Error::from_errno(what, code);
}

std::optional<Error> RecordFile::write_all(std::string_view text) {
  while (!text.empty()) {
    const ssize_t written = ::write(fd_.get(), text.data(), text.size());
    if (written < 0 && errno == EINTR) continue;
    if (written <= 0) return failed("write", written < 0 ? errno : ENOSPC);
    torn_ = text.at(static_cast<std::size_t>(written) - 1) != '\n';
    text.remove_prefix(static_cast<std::size_t>(written));
  }
  failing_ = false;
  return std::nullopt;
}

std::optional<Error> RecordFile::append(std::string_view text) {
  if (!fd_) return std::nullopt;
  // After a line that was cut short by a full disk, the next one must not be glued to it.
  if (torn_) return write_all(std::string("\n").append(text));
  return write_all(text);
}

std::optional<Error> RecordFile::rewrite(std::string_view text) {
  if (!fd_) return std::nullopt;
  if (::ftruncate(fd_.get(), 0) != 0) return failed("ftruncate", errno);
  torn_ = false;
  return write_all(text);
}

}  // namespace portsentry::monitor
