// What portsentryctl reads to find out when its user logged in: files of the kernel, of logind and of
// whoever may write utmp. The first byte says which.
#include <string>

#include "ctl/session.h"
#include "fuzz.h"

namespace portsentry::ctl {
namespace {

using fuzz::require;

void check_id(const std::optional<std::string>& id) {
  if (!id) return;
  require(!id->empty() && id->size() <= 32, "a session's name is short");
  require(id->find_first_of("/.") == std::string::npos, "a session's name leads nowhere else");
}

}  // namespace
}  // namespace portsentry::ctl

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace portsentry::ctl;
  using portsentry::fuzz::require;
  if (size == 0) return 0;
  const std::string_view text = portsentry::fuzz::as_text(data + 1, size - 1);
  switch (data[0]) {
    case 'p':
      if (const auto process = parse_process(text)) {
        require(process->parent >= 0, "a parent is a process");
        require(terminal_line(process->terminal).size() < 32, "a line fits its field");
      }
      break;
    case 'c':
      check_id(session_of_cgroup(text));
      break;
    case 'a':
      check_id(session_of_audit(text));
      break;
    case 'l':
      if (const auto began = began_in_logind(text))
        require(*began >= 0, "a login is not before 1970");
      break;
    case 'u':
      if (const auto began =
              began_in_utmp(portsentry::fuzz::as_bytes(data + 1, size - 1), "pts/3")) {
        require(*began > 0, "a login is after 1970");
      }
      break;
    case 's': {
      // One content for every file: the search must end.
      const auto read = [&](const std::string&) { return std::optional<std::string>(text); };
      static_cast<void>(session_began(read, 100));
      break;
    }
    default:
      break;
  }
  return 0;
}
