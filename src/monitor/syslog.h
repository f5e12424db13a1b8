// Lines to the machine's syslog daemon (or journald, which listens on the same socket): one
// datagram a line, in the words of syslog(3), which is not used because it connects, and opens what
// a sandbox has no business to open.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <ctime>
#include <string>
#include <string_view>

#include "common/config.h"
#include "common/result.h"
#include "common/unique_fd.h"

namespace portsentry::monitor {

// Who signs. The process is the daemon that users see, portsentryd itself, not this one.
struct LogIdentity {
  LogFacility facility = LogFacility::local0;
  std::string tag = "portsentry";  // LOG_TAG
  std::string host;                // of this machine, for LOG_FILE
  pid_t pid = 0;
};

enum class SyslogSeverity : std::uint8_t { error = 3, notice = 5 };  // RFC 5424 6.2.1

// A line that reports an error of ours, in either format, is one; all others are notices.
SyslogSeverity severity(std::string_view line);

// "<PRI>Mmm dd hh:mm:ss TAG[PID]: LINE", local time (RFC 3164 4.1, without the host, as local
// senders do). The facility must not be `none`.
std::string syslog_datagram(const LogIdentity& identity, std::string_view line, std::time_t when);

// "Mmm dd hh:mm:ss HOST TAG[PID]: LINE": what a syslog daemon would write to a file.
std::string log_file_line(const LogIdentity& identity, std::string_view line, std::time_t when);

class SyslogOutput {
 public:
  // What a full socket costs, once, until it takes something again. The kernel queues as few as ten
  // datagrams (net.unix.max_dgram_qlen), so that a start that tells sixty ports needs some.
  static constexpr int kPatienceMs = 50;

  // An unconnected socket with that patience: it survives a restart of the daemon that listens.
  static Result<UniqueFd> open();

  // `fd` is from open(), and is not owned.
  explicit SyslogOutput(int fd, std::string_view path = "/dev/log") : fd_(fd), path_(path) {}
  // False: nobody listens, or nobody reads.
  bool write(std::string_view datagram);

 private:
  int fd_;
  std::string path_;
  bool stalled_ = false;
};

}  // namespace portsentry::monitor
