// The edge where lines leave the process: standard output, and the files that root opened for us.
// None of it may stop the loop or the process: what could not be written is counted, and told.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "common/result.h"
#include "common/unique_fd.h"

namespace portsentry::monitor {

// Lines to a descriptor that somebody else also holds (so it is not made non-blocking). One
// write(2) a line. A reader that has stopped reading costs kPatience once, then nothing until it
// reads again.
class LineOutput {
 public:
  static constexpr int kPatienceMs = 50;
  static constexpr std::size_t kLongest = 4000;  // below PIPE_BUF, so that a line is never torn

  explicit LineOutput(int fd) : fd_(fd) {}  // not owned
  // `line` without its newline. When lines were lost before, that is told first.
  void write(std::string_view line);
  [[nodiscard]] std::uint64_t lost() const { return lost_; }

 private:
  bool write_now(std::string_view line);
  int fd_;
  bool stalled_ = false;
  std::uint64_t lost_ = 0;
  std::uint64_t untold_ = 0;
};

// A file opened by root with O_APPEND. Empty descriptor: there is no such file, everything
// succeeds.
class RecordFile {
 public:
  explicit RecordFile(UniqueFd fd) : fd_(std::move(fd)) {}
  // The first failure after a success; later ones are only counted, so that a full disk is one
  // line.
  std::optional<Error> append(std::string_view text);
  // Replaces the content. Not atomic: the directory is root's, so there is no rename for us.
  std::optional<Error> rewrite(std::string_view text);
  [[nodiscard]] std::uint64_t failures() const { return failures_; }

 private:
  std::optional<Error> write_all(std::string_view text);
  std::optional<Error> failed(const char* what, int code);

  UniqueFd fd_;
  bool failing_ = false;
  bool torn_ = false;  // the file ends inside a line
  std::uint64_t failures_ = 0;
};

}  // namespace portsentry::monitor
