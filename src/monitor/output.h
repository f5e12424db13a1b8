// The edge where lines leave the process: standard output, syslog, and the files that root opened
// for us. None of it may stop the loop or the process: what could not be written is counted, and
// told once it can be.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <ctime>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "common/config.h"
#include "common/result.h"
#include "common/unique_fd.h"
#include "monitor/syslog.h"

namespace portsentry::monitor {

// Longer lines are cut. Below PIPE_BUF, so that a line is never torn.
inline constexpr std::size_t kLongestLine = 4000;

// Lines to a descriptor that somebody else also holds (so it is not made non-blocking). One
// write(2) a line. A reader that has stopped reading costs kPatience once, then nothing until it
// reads again.
class LineOutput {
 public:
  static constexpr int kPatienceMs = 50;

  explicit LineOutput(int fd) : fd_(fd) {}  // not owned
  // `line` without its newline. False: it was not taken.
  bool write(std::string_view line);

 private:
  int fd_;
  bool stalled_ = false;
};

// A file opened by root with O_APPEND, at a number that the filter knows and that stays.
class RecordFile {
 public:
  // Without a descriptor, or where `used` is false (the number is kept by /dev/null), there is no
  // such file, and everything succeeds.
  explicit RecordFile(UniqueFd fd, bool used = true) : fd_(std::move(fd)), used_(used) {}
  // The first failure after a success; later ones are only counted, so that a full disk is one
  // line.
  std::optional<Error> append(std::string_view text);
  // Replaces the content. Not atomic: the directory is root's, so there is no rename for us.
  std::optional<Error> rewrite(std::string_view text);
  // Goes on with `fresh` in the place of the old descriptor: logrotate has moved the file away, or
  // the configuration names another. On failure the old one stays.
  std::optional<Error> replace(UniqueFd fresh, bool used = true);
  [[nodiscard]] std::uint64_t failures() const { return failures_; }

 private:
  std::optional<Error> write_all(std::string_view text);
  std::optional<Error> failed(const char* what, int code);

  UniqueFd fd_;
  bool used_;
  bool failing_ = false;
  bool torn_ = false;  // the file ends inside a line
  std::uint64_t failures_ = 0;
};

// Where event lines go, decided once at start and at a reload.
struct Destinations {
  bool standard_output;
  bool syslog;
  bool operator==(const Destinations&) const = default;
};
// `foreground`: standard output is the caller's, and not closed behind a daemon. `journal`: it is
// the journal's, which hears syslog too, and must not be told everything twice. In the background
// standard output becomes syslog, as in 2.x.
Destinations destinations(const LogOutput& asked, LogFacility facility, bool foreground,
                          bool journal);
// Is the file with this device and inode what JOURNAL_STREAM names (systemd.exec(5))? `stream` is
// empty where the variable is not set.
bool is_journal(std::string_view stream, dev_t device, ino_t inode);

// Each line once to each of its destinations.
class Sinks {
 public:
  struct Setup {
    LogIdentity identity;
    Destinations to;
    int standard_output = 1;  // not owned
    int syslog = -1;          // from SyslogOutput::open(), not owned
    std::string syslog_path = "/dev/log";
    std::string_view label = "adminalert: ";  // before our own lines; empty in LOG_FORMAT 2.x
  };
  Sinks(const Setup& setup, RecordFile file);

  // `line` without its newline.
  void write(std::string_view line, std::time_t wall);
  // The log file was opened anew.
  std::optional<Error> replace_file(UniqueFd fresh, bool used) {
    return file_.replace(std::move(fresh), used);
  }
  // A reload may have changed them. `to.standard_output` must not be set where it was not at start
  // for want of a foreground.
  void change(const LogIdentity& identity, Destinations to, std::string_view label);

  // Lines that some destination did not take, since the start.
  [[nodiscard]] std::uint64_t lost() const {
    return lost_output_.lost + lost_syslog_.lost + lost_file_.lost;
  }

 private:
  struct Lost {
    std::uint64_t lost = 0;
    std::uint64_t untold = 0;
  };
  // Sends `line`, after telling of what was lost before it.
  void deliver(Lost& lost, std::string_view where, std::string_view line,
               const std::function<bool(std::string_view)>& send) const;

  LogIdentity identity_;
  Destinations to_;
  std::string label_;
  LineOutput output_;
  SyslogOutput syslog_;
  RecordFile file_;
  Lost lost_output_;
  Lost lost_syslog_;
  Lost lost_file_;
};

}  // namespace portsentry::monitor
