#include "monitor/syslog.h"

#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>

#include <algorithm>
#include <cerrno>
#include <iterator>

#include "monitor/log_time.h"

namespace portsentry::monitor {
namespace {

std::string signature(const LogIdentity& identity) {
  return identity.tag + "[" + std::to_string(identity.pid) + "]: ";
}

}  // namespace

SyslogSeverity severity(std::string_view line) {
  for (const std::string_view label : {"attackalert: ", "adminalert: ", "securityalert: "}) {
    if (line.starts_with(label)) {
      line.remove_prefix(label.size());
      break;
    }
  }
  return line.starts_with("ERROR") || line.starts_with("Error ") ? SyslogSeverity::error
                                                                 : SyslogSeverity::notice;
}

std::string syslog_datagram(const LogIdentity& identity, std::string_view line, std::time_t when) {
  const int priority = static_cast<int>(identity.facility) * 8 + static_cast<int>(severity(line));
  return "<" + std::to_string(priority) + ">" + syslog_time(when) + " " + signature(identity) +
         std::string(line);
}

std::string log_file_line(const LogIdentity& identity, std::string_view line, std::time_t when) {
  return syslog_time(when) + " " + identity.host + " " + signature(identity) + std::string(line);
}

Result<UniqueFd> SyslogOutput::open() {
  UniqueFd fd(::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  if (!fd) return Error::from_errno("syslog: socket", errno);
  const timeval patience{.tv_sec = 0, .tv_usec = kPatienceMs * 1000L};
  if (::setsockopt(fd.get(), SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience) != 0) {
    return Error::from_errno("syslog: SO_SNDTIMEO", errno);
  }
  return fd;
}

bool SyslogOutput::write(std::string_view datagram) {
  sockaddr_un to{};
  to.sun_family = AF_UNIX;
  if (path_.size() >= sizeof to.sun_path) return false;
  std::copy(path_.begin(), path_.end(), std::begin(to.sun_path));
  const int flags = MSG_NOSIGNAL | (stalled_ ? MSG_DONTWAIT : 0);
  ssize_t sent = 0;
  do {
    sent = ::sendto(fd_, datagram.data(), datagram.size(), flags,
                    static_cast<const sockaddr*>(static_cast<const void*>(&to)), sizeof to);
  } while (sent < 0 && errno == EINTR);
  stalled_ = sent < 0 && errno == EAGAIN;
  return sent == static_cast<ssize_t>(datagram.size());
}

}  // namespace portsentry::monitor
