#include "ctl/selftest.h"

#include <algorithm>
#include <utility>

#include "ctl/json.h"
#include "ctl/time_text.h"

namespace portsentry::ctl {

bool all_passed(const SelfTestReply& reply) {
  return !reply.hops.empty() && std::ranges::all_of(reply.hops, &HopShown::passed);
}

std::string selftest_text(const SelfTestReply& reply, const Layout& layout) {
  Table table({{"HOP"}, {"RESULT"}, {"AFTER", true}, {"REMARK"}});
  for (const HopShown& hop : reply.hops) {
    table.add({{hop.name},
               hop.passed ? Cell{"ok", Tone::good} : Cell{"FAILED", Tone::bad},
               {short_time_text(hop.microseconds)},
               {hop.text}});
  }
  const bool good = all_passed(reply);
  return table.text(layout) +
         paragraph({good ? "It works: every hop answered, and nobody was banned for it."
                         : "It does not work: see the hop that failed.",
                    good ? Tone::good : Tone::bad},
                   layout);
}

std::string selftest_json(const SelfTestReply& reply) {
  Json json = Json::answer("selftest");
  json.add("passed", all_passed(reply));
  json.list("hops", reply.hops, [](const HopShown& hop) {
    Json one;
    one.add("name", hop.name).add("passed", hop.passed);
    one.add("microseconds", hop.microseconds).add("text", hop.text);
    return one;
  });
  return json.line();
}

std::string check_json(std::string_view file, bool good, std::string_view printed) {
  std::vector<std::string_view> lines;
  while (!printed.empty()) {
    const std::size_t end = printed.find('\n');
    if (end != 0) lines.push_back(printed.substr(0, end));
    printed.remove_prefix(end == std::string_view::npos ? printed.size() : end + 1);
  }
  Json json = Json::answer("check");
  json.add("good", good);
  json.add("file", file.empty() ? std::optional<std::string_view>() : std::optional(file));
  return json.list("lines", lines, [](std::string_view line) { return line; }).line();
}

}  // namespace portsentry::ctl
