#include <algorithm>
#include <string>
#include <vector>

#include "enforcer/hosts_deny.h"
#include "fuzz.h"

namespace portsentry::enforcer {
namespace {

using fuzz::require;

constexpr std::string_view kLine = "ALL: $TARGET$ : DENY";

HostsDenyChange change(HostsDenyChange::Op op, std::string_view address) {
  return {.op = op,
          .values = {.source = Source::of(*Address::parse(address), true), .port = {}, .mode = {}}};
}

// What stays when ours are taken away: from then on the text has nothing of ours.
void check_edit(std::string_view text) {
  using Op = HostsDenyChange::Op;
  const std::vector add{change(Op::add, "192.0.2.1"), change(Op::add, "2001:db8::1")};
  const std::vector remove{change(Op::remove, "192.0.2.1"), change(Op::remove, "2001:db8::1")};
  const std::string foreign = edit_hosts_deny(text, remove, kLine);
  require(foreign.size() <= text.size(), "removing adds nothing");
  const std::string added = edit_hosts_deny(foreign, add, kLine);
  require(added.starts_with(foreign), "adding changes no foreign byte");
  require(edit_hosts_deny(added, add, kLine) == added, "adding twice is adding once");
  const std::string back = edit_hosts_deny(added, remove, kLine);
  require(back.starts_with(foreign) && back.size() <= foreign.size() + 2,
          "what was added can be removed, but for the ends of a last line");
  require(edit_hosts_deny(text, add, kLine).size() <= text.size() + 200, "growth is bounded");
}

// Two versions of a file, and every state between them that a kill can leave.
void check_journal(std::string_view text) {
  const std::size_t middle = text.size() / 2;
  const std::string before(text.substr(0, middle));
  const std::string after(text.substr(middle));
  const std::string journal = make_journal(before, after);
  require(journals_size(journal) == journal.size(), "a journal knows its end");
  for (std::size_t end = 0; end <= after.size(); end += 512) {
    std::string state = end == 0 ? before : after.substr(0, end);
    if (end != 0 && end < before.size()) state += before.substr(end);
    const std::string whole = recover(journal, state).value_or(state);
    require(whole == before || whole == after, "never torn");
  }
  require(!recover(journal, after) && !recover(journal, before), "whole files are left alone");
  static_cast<void>(recover(text, before));
  static_cast<void>(recover(journal, text));
}

}  // namespace
}  // namespace portsentry::enforcer

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace portsentry;
  using namespace portsentry::enforcer;
  const std::string_view text = fuzz::as_text(data, size);
  check_edit(text);
  check_journal(text);
  static_cast<void>(journals_size(text));
  if (const auto batch = read_hosts_deny_batch(fuzz::as_bytes(data, size))) {
    fuzz::require(encode_hosts_deny_batch(*batch) == text, "a batch has one spelling");
    const std::string line = batch->line;
    static_cast<void>(edit_hosts_deny("sshd: x", batch->changes, line));
  }
  return 0;
}
