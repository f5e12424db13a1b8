// What the enforcer asks of a firewall. One implementation (nft.h) and a fake in the tests. Header
// only, without an out-of-line virtual: the tests' fake is compiled with other RTTI flags.
#pragma once

#include <chrono>
#include <vector>

#include "common/net_types.h"
#include "common/result.h"

namespace portsentry::enforcer {

// A ban that the kernel holds.
struct Held {
  Source source;
  std::chrono::seconds remaining;  // rounded up; 0: without expiry
  bool operator==(const Held&) const = default;
};

class Firewall {
 public:
  virtual ~Firewall() = default;

  // Drops what `source` sends, for `duration` from now (at least a second). Success means that the
  // kernel has committed it; a ban that holds already gets the new duration, longer or shorter.
  // Error::code: ENOENT the table is gone, ENFILE the set is full, EPERM, ETIMEDOUT no answer ...
  virtual Result<void> ban(const Source& source, std::chrono::seconds duration) = 0;

  // Ends the ban of `source`; success when there was none.
  virtual Result<void> unban(const Source& source) = 0;

  // Every ban that holds now, in no particular order, each once.
  virtual Result<std::vector<Held>> list() = 0;

  // True when our table is there. No clear answer is no table.
  virtual bool table_exists() = 0;

 protected:
  Firewall() = default;
  Firewall(const Firewall&) = default;
  Firewall(Firewall&&) = default;
  Firewall& operator=(const Firewall&) = default;
  Firewall& operator=(Firewall&&) = default;
};

}  // namespace portsentry::enforcer
