#include "ctl/protected.h"

#include <utility>

#include "ctl/json.h"

namespace portsentry::ctl {

std::string protected_text(const std::vector<ProtectedShown>& entries, const Layout& layout) {
  Table table({{"PROTECTED"}, {"REASON"}});
  for (const ProtectedShown& entry : entries)
    table.add({{entry.prefix.text()}, {entry.reason}});
  return table.empty() ? "nothing is protected yet\n" : table.text(layout);
}

std::string protected_json(const std::vector<ProtectedShown>& entries) {
  return Json::answer("protected")
      .list("entries", entries,
            [](const ProtectedShown& entry) {
              Json one;
              one.add("prefix", entry.prefix.text()).add("reason", entry.reason);
              return one;
            })
      .line();
}

}  // namespace portsentry::ctl
