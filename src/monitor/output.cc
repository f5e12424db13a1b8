#include "monitor/output.h"

#include <fcntl.h>
#include <poll.h>
#include <unistd.h>

#include <cerrno>

namespace portsentry::monitor {

bool LineOutput::write(std::string_view line) {
  pollfd target{.fd = fd_, .events = POLLOUT, .revents = 0};
  // For a pipe POLLOUT means that PIPE_BUF bytes fit, so the write below cannot block (pipe(7)).
  if (::poll(&target, 1, stalled_ ? 0 : kPatienceMs) <= 0) {
    stalled_ = true;
    return false;
  }
  stalled_ = false;
  std::string text(line.substr(0, kLongestLine));
  text += '\n';
  ssize_t written = 0;
  do {
    written = ::write(fd_, text.data(), text.size());
  } while (written < 0 && errno == EINTR);
  return written == static_cast<ssize_t>(text.size());
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
  if (!fd_ || !used_) return std::nullopt;
  // After a line that was cut short by a full disk, the next one must not be glued to it.
  if (torn_) return write_all(std::string("\n").append(text));
  return write_all(text);
}

std::optional<Error> RecordFile::rewrite(std::string_view text) {
  if (!fd_ || !used_) return std::nullopt;
  if (::ftruncate(fd_.get(), 0) != 0) return failed("ftruncate", errno);
  torn_ = false;
  return write_all(text);
}

std::optional<Error> RecordFile::replace(UniqueFd fresh, bool used) {
  if (!fd_) {
    fd_ = std::move(fresh);
  } else if (::dup3(fresh.get(), fd_.get(), O_CLOEXEC) < 0) {
    return Error::from_errno("dup3", errno);
  }
  used_ = used;
  failing_ = false;
  return std::nullopt;
}

Destinations destinations(const LogOutput& asked, LogFacility facility, bool foreground,
                          bool journal) {
  const bool output = asked.automatic || asked.standard_output;
  const bool syslog =
      facility != LogFacility::none && (asked.automatic || asked.syslog || (output && !foreground));
  return {.standard_output = output && foreground && !(journal && syslog), .syslog = syslog};
}

bool is_journal(std::string_view stream, dev_t device, ino_t inode) {
  return stream == std::to_string(device) + ":" + std::to_string(inode);
}

Sinks::Sinks(const Setup& setup, RecordFile file)
    : identity_(setup.identity),
      to_(setup.to),
      label_(setup.label),
      output_(setup.standard_output),
      syslog_(setup.syslog, setup.syslog_path),
      file_(std::move(file)) {}

void Sinks::change(const LogIdentity& identity, Destinations to, std::string_view label) {
  identity_ = identity;
  to_ = to;
  label_ = label;
}

void Sinks::deliver(Lost& lost, std::string_view where, std::string_view line,
                    const std::function<bool(std::string_view)>& send) const {
  if (lost.untold > 0 && send(label_ + std::to_string(lost.untold) + " log lines were lost (" +
                              std::string(where) + ")")) {
    lost.untold = 0;
  }
  if (lost.untold > 0 || !send(line)) {
    lost.lost += 1;
    lost.untold += 1;
  }
}

void Sinks::write(std::string_view line, std::time_t wall) {
  line = line.substr(0, kLongestLine - 200);  // room for what syslog and the file put before it
  const auto to_others = [&](std::string_view text) {
    if (to_.standard_output) {
      deliver(lost_output_, "output not writable", text,
              [&](std::string_view l) { return output_.write(l); });
    }
    if (to_.syslog) {
      deliver(lost_syslog_, "syslog not reachable", text, [&](std::string_view l) {
        return syslog_.write(syslog_datagram(identity_, l, wall));
      });
    }
  };
  to_others(line);

  std::optional<Error> first;
  deliver(lost_file_, "LOG_FILE not writable", line, [&](std::string_view l) {
    const std::uint64_t before = file_.failures();
    auto error = file_.append(log_file_line(identity_, l, wall) + "\n");
    if (error) first = std::move(error);
    return file_.failures() == before;
  });
  // The other two hear of it; where there are none, the counter is all.
  if (first) {
    to_others(label_ + "ERROR: LOG_FILE: " + first->what + "; further failures are only counted");
  }
}

}  // namespace portsentry::monitor
