// The rules that nft.cc's elements are for; what needs a kernel is in nft_root_test.cc and
// ruleset_root_test.cc.
#include "enforcer/nft.h"

#include <gtest/gtest.h>

#include "enforcer/nft_elements.h"
#include "enforcer/ruleset.h"

namespace portsentry::enforcer {
namespace {

TEST(Ruleset, IsCompiledInAndNamesWhatTheCodeNames) {
  EXPECT_NE(kRuleset.find("add table inet " + std::string(kTable) + "\n"), std::string_view::npos);
  std::vector<std::string> sets(kBanSets.begin(), kBanSets.end());
  sets.insert(sets.end(), {"session4", "session6", "selftest"});
  for (const std::string& set : sets) {
    EXPECT_NE(kRuleset.find("add set inet " + std::string(kTable) + ' ' + set + " {"),
              std::string_view::npos);
  }
}

TEST(Ruleset, TouchesNoOtherTable) {
  for (const std::string_view rules : {kRuleset, kRulesetAll}) {
    for (std::size_t at = rules.find("\nadd "); at != std::string_view::npos;
         at = rules.find("\nadd ", at + 1)) {
      const std::string_view line = rules.substr(at + 1, rules.find('\n', at + 1) - at - 1);
      EXPECT_NE(line.find(" inet portsentry"), std::string_view::npos) << line;
    }
    EXPECT_EQ(rules.find("flush ruleset"), std::string_view::npos);
  }
}

}  // namespace
}  // namespace portsentry::enforcer
