#include "common/log.h"

#include <unistd.h>

#include <array>
#include <cstddef>

namespace portsentry {
namespace {

// The one word of state that every module shares; set once in main, before anything can complain.
constinit const char* log_name = "portsentryd";

using Sink = void (*)(std::string_view);
constinit Sink log_sink = nullptr;

// One line: long enough for a path and a reason, below PIPE_BUF, so that lines of several processes
// into one pipe never mix (pipe(7)).
constexpr std::size_t kMaxLine = 1024;

// What a terminal would obey is shown as '?'. Bytes above ASCII too: 0x9b alone is a control
// sequence to some terminals, and our own words need none of them.
char printable(char c) {
  return c >= ' ' && c <= '~' ? c : '?';
}

}  // namespace

void set_log_name(const char* name) {
  log_name = name;
}

void set_log_sink(void (*sink)(std::string_view line)) {
  log_sink = sink;
}

void complain(std::string_view message) {
  std::array<char, kMaxLine> line{};
  std::size_t used = 0;
  const auto add = [&](std::string_view text) {
    for (const char c : text) {
      if (used + 1 == line.size()) return;  // room for the newline stays
      line.at(used++) = printable(c);
    }
  };
  add(log_name);
  add(": ");
  const std::size_t begin = used;
  add(message);
  if (log_sink != nullptr) log_sink({line.data() + begin, used - begin});
  line.at(used++) = '\n';
  // Nobody to tell when this fails; a partial write is better than a loop in a dying process.
  [[maybe_unused]] const ssize_t written = ::write(STDERR_FILENO, line.data(), used);
}

void fatal(std::string_view message, int code) {
  complain(message);
  // Not exit(): handlers and destructors of a process in an impossible state are not worth their
  // system calls, and a sealed process could not make all of them.
  ::_exit(code);
}

}  // namespace portsentry
