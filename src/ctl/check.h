// `check`: runs `portsentryd -t`, which lies beside portsentryctl, and waits for it.
#pragma once

#include <string>
#include <variant>

#include "ctl/client.h"

namespace portsentry::ctl {

struct Checked {
  bool good = false;
  std::string printed;  // what it said; empty where it said so to our own standard output
};

// `file`: the configuration; empty: the one that portsentryd has built in. `capture`: keep what it
// prints.
std::variant<Checked, Failure> check(const std::string& file, bool capture);

}  // namespace portsentry::ctl
