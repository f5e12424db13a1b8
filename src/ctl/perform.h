// One command that the daemon answers: its requests, the pages of its answer, and the text of it.
#pragma once

#include <ctime>
#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include "ctl/arguments.h"
#include "ctl/client.h"
#include "ctl/table.h"

namespace portsentry::ctl {

struct Surroundings {
  std::time_t now = 0;
  Layout layout;
  // Standard output. False: nobody reads it any more, and a watch ends.
  std::function<bool(std::string_view)> print;
  // When did the caller's login session begin? See session.h.
  std::function<std::optional<std::time_t>()> session;
};

// The exit status, or why there is none. Not for check, help and version, which ask nobody.
std::variant<int, Failure> perform(const Command& command, Client& client,
                                   const Surroundings& around);

// The name of what was asked for, in JSON: "allow add" for that action.
[[nodiscard]] std::string_view name_of(Verb verb);

// What standard output says instead of an answer with --json.
[[nodiscard]] std::string failure_json(Verb verb, const Failure& failure);

}  // namespace portsentry::ctl
