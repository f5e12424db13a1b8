#include "enforcer/hosts_deny.h"

#include <gtest/gtest.h>

#include <string>

#include "tests/common/template_lab.h"

namespace portsentry::enforcer {
namespace {

constexpr std::string_view kLine = "ALL: $TARGET$ : DENY";

HostsDenyChange add(const Source& from) {
  return {.op = HostsDenyChange::Op::add, .values = probe(from)};
}
HostsDenyChange add(const std::string& address) {
  return add(source(address));
}
HostsDenyChange remove(const std::string& address) {
  return {.op = HostsDenyChange::Op::remove,
          .values = {.source = source(address), .port = {}, .mode = {}}};
}
std::string edited(std::string_view text, std::vector<HostsDenyChange> changes,
                   std::string_view line = kLine) {
  return edit_hosts_deny(text, changes, line);
}

TEST(HostsDeny, AnEntryIsItsMarkerAndItsLine) {
  EXPECT_EQ(edited("", {add("192.0.2.1")}), "# portsentryd 192.0.2.1\nALL: 192.0.2.1 : DENY\n");
}

TEST(HostsDeny, Ipv6StandsInBrackets) {
  EXPECT_EQ(edited("", {add("2001:db8::1"), add(network("2001:db8:5::"))}),
            "# portsentryd 2001:db8::1\nALL: [2001:db8::1] : DENY\n"
            "# portsentryd 2001:db8:5::/64\nALL: [2001:db8:5::]/64 : DENY\n");
}

TEST(HostsDeny, AddingTwiceIsAddingOnce) {
  const std::string once = edited("x\n", {add("192.0.2.1")});
  EXPECT_EQ(edited(once, {add("192.0.2.1")}), once);
  EXPECT_EQ(edited("x\n", {add("192.0.2.1"), add("192.0.2.1")}), once);
}

TEST(HostsDeny, RemovingTakesOursAndLeavesEveryForeignByte) {
  const std::string foreign =
      "# a comment\r\nALL: 192.0.2.1 : DENY\r\n\n\xff\x01 ALL:\t192.0.2.1 \nsshd: 11.192.0.2.1\n";
  const std::string more = "ALL: 192.0.2.1 : DENY\nlast without newline";
  const std::string ours = edited(foreign, {add("192.0.2.1"), add("192.0.2.2")});
  EXPECT_EQ(edited(ours, {remove("192.0.2.1"), remove("192.0.2.2")}), foreign);
  EXPECT_EQ(edited(ours + more, {remove("192.0.2.2"), remove("192.0.2.1")}), foreign + more);
}

TEST(HostsDeny, RemovingWhatIsNotThereChangesNothing) {
  EXPECT_EQ(edited("ALL: 192.0.2.1\n", {remove("192.0.2.1")}), "ALL: 192.0.2.1\n");
  EXPECT_EQ(edited("# portsentryd 192.0.2.11\nALL: 192.0.2.11 : DENY\n", {remove("192.0.2.1")}),
            "# portsentryd 192.0.2.11\nALL: 192.0.2.11 : DENY\n");
}

TEST(HostsDeny, ALastLineWithoutNewlineGetsOne) {
  EXPECT_EQ(edited("sshd: x", {add("192.0.2.1")}),
            "sshd: x\n# portsentryd 192.0.2.1\nALL: 192.0.2.1 : DENY\n");
}

TEST(HostsDeny, ALineThatGoesOnDoesNotSwallowOurs) {
  EXPECT_EQ(edited("sshd: x \\\n", {add("192.0.2.1")}),
            "sshd: x \\\n\n# portsentryd 192.0.2.1\nALL: 192.0.2.1 : DENY\n");
}

TEST(HostsDeny, AMarkerWhoseEntrySomebodyTookAwayClaimsNothingBelowIt) {
  const std::string text = "# portsentryd 192.0.2.1\nsshd: 192.0.2.10\n";
  EXPECT_EQ(edited(text, {remove("192.0.2.1")}), "sshd: 192.0.2.10\n");
  EXPECT_EQ(edited(text, {add("192.0.2.1")}),
            "sshd: 192.0.2.10\n# portsentryd 192.0.2.1\nALL: 192.0.2.1 : DENY\n");
  EXPECT_EQ(edited("# portsentryd 192.0.2.1\n# portsentryd 192.0.2.2\nALL: 192.0.2.2 : DENY\n",
                   {remove("192.0.2.1")}),
            "# portsentryd 192.0.2.2\nALL: 192.0.2.2 : DENY\n");
  EXPECT_EQ(edited("# portsentryd 192.0.2.1", {remove("192.0.2.1")}), "");
}

TEST(HostsDeny, ACommentThatBeginsLikeOursIsNotOurs) {
  const std::string text =
      "# portsentryd is great\nALL: 192.0.2.1\n# portsentryd 192.0.2.1 \nALL: 192.0.2.1\n"
      "# portsentryd 192.0.2.001\nALL: 192.0.2.1\n #portsentryd 192.0.2.1\nALL: 192.0.2.1\n";
  EXPECT_EQ(edited(text, {remove("192.0.2.1")}), text);
}

TEST(HostsDeny, AnEntryOfAnOlderTemplateIsOursToo) {
  const std::string old = edited("", {add("192.0.2.1")}, "sshd, vsftpd: $TARGET$");
  EXPECT_EQ(edited(old, {remove("192.0.2.1")}), "");
  EXPECT_EQ(edited(old, {add("192.0.2.1")}), "# portsentryd 192.0.2.1\nALL: 192.0.2.1 : DENY\n");
  const std::string six = edited("", {add("2001:db8::1")}, "sshd: $TARGET$");
  EXPECT_EQ(edited(six, {remove("2001:db8::1")}), "");
}

TEST(HostsDeny, EntriesStayOursWhenSomebodysEditorMakesThemCrlf) {
  EXPECT_EQ(edited("a\r\n# portsentryd 192.0.2.1\r\nALL: 192.0.2.1 : DENY\r\nb\r\n",
                   {remove("192.0.2.1")}),
            "a\r\nb\r\n");
}

TEST(HostsDeny, TheLastWordAboutASourceCounts) {
  EXPECT_EQ(edited("", {add("192.0.2.1"), remove("192.0.2.1")}), "");
  EXPECT_EQ(edited("", {remove("192.0.2.1"), add("192.0.2.1")}), edited("", {add("192.0.2.1")}));
}

TEST(HostsDeny, PortAndModeAreFilledInToo) {
  EXPECT_EQ(edited("", {add("192.0.2.1")}, "ALL: $TARGET$ : spawn /bin/log $PORT$ $MODE$"),
            "# portsentryd 192.0.2.1\nALL: 192.0.2.1 : spawn /bin/log 23 stcp\n");
}

TEST(HostsDeny, ALineThatWouldDenyNobodyIsRefused) {
  EXPECT_EQ(hosts_deny_line_fault("ALL: $TARGET$"), "");
  EXPECT_EQ(hosts_deny_line_fault("ALL: $TARGET$ : DENY"), "");
  for (const char* line : {"", "ALL: ALL", "#ALL: $TARGET$", " # $TARGET$: x", "ALL $TARGET$",
                           "$TARGET$ : x", "ALL: $TARGET$ \\", "ALL: $TARGET$\nALL: ALL"})
    EXPECT_NE(hosts_deny_line_fault(line), "") << line;
  EXPECT_NE(hosts_deny_line_fault("ALL: $TARGET$" + std::string(3000, ' ')), "");
}

// ---- The journal -------------------------------------------------------------------------------

// The file after the first `written` bytes of what differs went out, before it is cut.
std::string torn(const std::string& before, const std::string& after, std::size_t written) {
  std::size_t kept = 0;
  while (kept < std::min(before.size(), after.size()) && before[kept] == after[kept])
    ++kept;
  const std::size_t end = std::min(kept + written, after.size());
  return after.substr(0, end) + (end < before.size() ? before.substr(end) : "");
}

std::string foreign_lines(int count) {
  std::string text;
  for (int i = 0; i < count; ++i)
    text += "sshd: 10.0." + std::to_string(i / 256) + "." + std::to_string(i % 256) + "\n";
  return text;
}

struct Edit {
  std::string before;
  std::string after;
};

std::vector<Edit> edits() {
  const std::string few = foreign_lines(3);
  const std::string many = foreign_lines(200);
  std::vector<Edit> out;
  for (const std::string& foreign : {std::string(), few, many}) {
    const std::string one = edited(foreign, {add("192.0.2.1")});
    const std::string then = one + many;
    out.push_back({foreign, one});
    out.push_back({one, foreign});
    out.push_back({then, edited(then, {remove("192.0.2.1")})});
    out.push_back({then, edited(then, {remove("192.0.2.1"), add("192.0.2.2")})});
    std::vector<HostsDenyChange> hundred;
    for (int i = 0; i < 100; ++i)
      hundred.push_back(add("198.51.100." + std::to_string(i)));
    out.push_back({then, edited(then, hundred)});
  }
  return out;
}

// A kill ends a write where one block ends, or between two calls.
TEST(HostsDenyJournal, AfterAKillAnywhereTheFileIsOldOrNew) {
  for (const auto& [before, after] : edits()) {
    const std::string journal = make_journal(before, after);
    for (std::size_t end = 0; end <= std::max(before.size(), after.size()); end += 512) {
      const std::string state =
          end == 0
              ? before
              : after.substr(0, end) +
                    (end < before.size() ? before.substr(std::max(end, std::min(end, after.size())))
                                         : "");
      const std::string whole = recover(journal, state).value_or(state);
      EXPECT_TRUE(whole == before || whole == after) << end << " of " << after.size();
    }
    const std::string not_cut = torn(before, after, after.size());
    EXPECT_EQ(recover(journal, not_cut).value_or(not_cut), not_cut == before ? before : after);
    EXPECT_EQ(recover(journal, after), std::nullopt);
    EXPECT_EQ(recover(journal, before), std::nullopt);
  }
}

TEST(HostsDenyJournal, WhatWasAppendedToATornFileStays) {
  for (const auto& [before, after] : edits()) {
    const std::string journal = make_journal(before, after);
    for (std::size_t end = 512; end < after.size(); end += 512) {
      const std::string state =
          after.substr(0, end) + (end < before.size() ? before.substr(end) : "");
      if (state == before) continue;
      EXPECT_EQ(recover(journal, state + "ALL: 203.0.113.7\n"), after + "ALL: 203.0.113.7\n");
    }
  }
}

TEST(HostsDenyJournal, SomebodysOwnVersionIsLeftAlone) {
  const std::string before = foreign_lines(5);
  const std::string after = edited(before, {add("192.0.2.1")});
  const std::string journal = make_journal(before, after);
  for (const std::string& theirs :
       {std::string(), before + "# p", before + "# portsentryd was here\n", "new\n" + before,
        before.substr(5), after.substr(5), after + "ALL: x\n", std::string("ALL: ALL\n")})
    EXPECT_EQ(recover(journal, theirs), std::nullopt) << theirs;
}

TEST(HostsDenyJournal, ATornJournalIsNone) {
  const std::string before = edited(foreign_lines(100), {add("192.0.2.1")}) + foreign_lines(100);
  const std::string after = edited(before, {remove("192.0.2.1")});
  const std::string journal = make_journal(before, after);
  const std::string state = torn(before, after, after.size());
  ASSERT_EQ(recover(journal, state), after);
  for (std::size_t size = 0; size < journal.size(); size += 7)
    EXPECT_EQ(recover(journal.substr(0, size), state), std::nullopt) << size;
  for (std::size_t at = 0; at < journal.size(); at += 13) {
    std::string damaged = journal;
    damaged[at] = static_cast<char>(damaged[at] ^ 0x40);
    const auto whole = recover(damaged, state);
    EXPECT_EQ(whole, std::nullopt) << at;
  }
}

TEST(HostsDenyJournal, ARepairThatIsKilledIsRepairedByEitherJournal) {
  const std::string before = edited(foreign_lines(100), {add("192.0.2.1")}) + foreign_lines(100);
  const std::string after = edited(before, {remove("192.0.2.1")});
  const std::string first = make_journal(before, after);
  const std::string state = torn(before, after, after.size()) + "mine\n";
  const std::string fixed = *recover(first, state);
  EXPECT_EQ(fixed, after + "mine\n");
  const std::string both = first + make_journal(state, fixed);
  EXPECT_EQ(journals_size(both), both.size());
  EXPECT_EQ(journals_size(both + "junk"), both.size());
  for (std::size_t end = 0; end <= fixed.size(); end += 512) {
    const std::string again = end == 0 ? state : fixed.substr(0, end) + state.substr(end);
    const std::string whole = recover(both, again).value_or(again);
    EXPECT_EQ(whole, fixed) << end;
  }
  EXPECT_EQ(recover(both, fixed).value_or(fixed), fixed);
}

// ---- The batch ---------------------------------------------------------------------------------

TEST(HostsDenyBatch, ArrivesAsItWasSent) {
  const HostsDenyBatch sent{
      .line = std::string(kLine),
      .changes = {add("192.0.2.1"), remove("2001:db8::1"), add(network("2001:db8::"))}};
  const std::string bytes = encode_hosts_deny_batch(sent);
  const auto got = read_hosts_deny_batch(std::as_bytes(std::span(bytes)));
  ASSERT_TRUE(got);
  EXPECT_EQ(got->line, sent.line);
  ASSERT_EQ(got->changes.size(), 3U);
  EXPECT_EQ(got->changes[0].values.source, source("192.0.2.1"));
  EXPECT_EQ(got->changes[0].values.port, Port::make(23));
  EXPECT_EQ(got->changes[0].values.mode->text(), "stcp");
  EXPECT_EQ(got->changes[1].op, HostsDenyChange::Op::remove);
  EXPECT_FALSE(got->changes[1].values.port);
  EXPECT_FALSE(got->changes[1].values.mode);
  EXPECT_EQ(got->changes[2].values.source, network("2001:db8::"));
  EXPECT_EQ(encode_hosts_deny_batch(*got), bytes);
}

TEST(HostsDenyBatch, WhatIsCutDamagedOrTooMuchIsNone) {
  const HostsDenyBatch sent{.line = std::string(kLine), .changes = {add("192.0.2.1")}};
  const std::string bytes = encode_hosts_deny_batch(sent);
  const auto reads = [](const std::string& b) {
    return read_hosts_deny_batch(std::as_bytes(std::span(b))).has_value();
  };
  for (std::size_t size = 0; size < bytes.size(); ++size)
    EXPECT_FALSE(reads(bytes.substr(0, size))) << size;
  EXPECT_FALSE(reads(bytes + "x"));
  const std::size_t record = bytes.size() - 24;
  for (const auto& [at, value] : std::to_array<std::pair<std::size_t, char>>(
           {{0, 0}, {1, 5}, {1, 6}, {2, 33}, {2, 31}, {3, 7}, {6, 9}, {7, 1}, {12, 1}, {23, 1}})) {
    std::string damaged = bytes;
    damaged[record + at] = value;
    EXPECT_FALSE(reads(damaged)) << at << "=" << static_cast<int>(value);
  }
  const HostsDenyBatch many{
      .line = std::string(kLine),
      .changes = std::vector<HostsDenyChange>(kMaxHostsDenyBatch + 1, add("192.0.2.1"))};
  EXPECT_FALSE(reads(encode_hosts_deny_batch(many)));
}

TEST(HostsDenyBatch, OnlyAnAdditionNeedsTheLine) {
  const auto reads = [](const HostsDenyBatch& batch) {
    const std::string bytes = encode_hosts_deny_batch(batch);
    return read_hosts_deny_batch(std::as_bytes(std::span(bytes))).has_value();
  };
  EXPECT_TRUE(reads({.line = "", .changes = {}}));
  EXPECT_TRUE(reads({.line = "", .changes = {remove("192.0.2.1")}}));
  EXPECT_FALSE(reads({.line = "", .changes = {add("192.0.2.1")}}));
  EXPECT_FALSE(reads({.line = "ALL: ALL", .changes = {add("192.0.2.1")}}));
}

}  // namespace
}  // namespace portsentry::enforcer
