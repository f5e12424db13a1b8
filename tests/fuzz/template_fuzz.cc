#include <string>

#include "common/templates.h"
#include "enforcer/template_check.h"
#include "fuzz.h"

namespace portsentry::enforcer {
namespace {

using fuzz::require;

void check_plain(const Template& made) {
  require(!made.words().empty() && !made.words().front().empty(), "a plain template has a program");
  const auto again = Template::parse(Template::from_words(made.words()).text());
  require(again && again->words() == made.words(), "words and their text are the same thing");
}

void check(const Template& made) {
  const CommandValues full{.source = Source::of(Address::v4(192, 0, 2, 1), true),
                           .port = Port::make(23),
                           .mode = ModeWord{Protocol::udp, WatchMode::advanced}};
  const CommandValues bare{.source = full.source, .port = {}, .mode = {}};
  const auto argv = made.argv(full);
  require(argv && !argv->empty(), "with every value a template can run");
  for (const std::string& word : *argv) {
    for (const std::string_view token : {kTargetToken, kPortToken, kModeToken}) {
      // A value may complete what was no token before; the templates that people write have none.
      require(!has_token(word, token) || !made.needs_shell() || has_token(made.text(), "$$"),
              "no token is left over");
    }
  }
  require(made.argv(bare).has_value() != made.needs_probe(), "a missing probe stops what names it");
  if (made.needs_shell())
    require(argv->size() == 3 && argv->front() == "/bin/sh" && !made.shell_reason().empty(),
            "a shell text is one argument of sh");
  else
    check_plain(made);
  for (const auto& other : {undo(made), twin(made)}) {
    if (!other) continue;
    if (!other->needs_shell()) check_plain(*other);
    require(other->has_target() == made.has_target(), "nobody else becomes the target");
  }
  if (const auto back = undo(made)) require(!back->needs_shell(), "an undo needs no shell");
}

bool never(const std::string&) {
  return false;
}

}  // namespace
}  // namespace portsentry::enforcer

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace portsentry;
  using namespace portsentry::enforcer;
  const std::string_view text = fuzz::as_text(data, size);
  if (const auto made = Template::parse(text)) check(*made);
  for (const auto& [key, note] : describe({.kill_route = text,
                                 .kill_route_remove = text,
                                 .kill_run_cmd = text,
                                 .external_command = text,
                                 .kill_hosts_deny = text},
                                          never))
    fuzz::require(!key.empty() && !note.text.empty(), "a note says something");
  return 0;
}
