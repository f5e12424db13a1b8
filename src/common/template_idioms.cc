// The commands that people block hosts with, and what takes each of them back: see undo() and
// twin() in templates.h. Pure.
#include <algorithm>
#include <array>
#include <cstddef>

#include "common/templates.h"

namespace portsentry {
namespace {

using Words = std::vector<std::string>;

std::string_view base_name(std::string_view program) {
  return program.substr(program.rfind('/') + 1);
}

bool is_one_of(std::string_view word, std::initializer_list<std::string_view> words) {
  return std::find(words.begin(), words.end(), word) != words.end();
}

bool is_number(std::string_view word) {
  return !word.empty() &&
         std::all_of(word.begin(), word.end(), [](char c) { return c >= '0' && c <= '9'; });
}

enum class Tool { iptables, ip6tables, route, ip, ipset, nft, ufw, firewalld, other };

Tool tool_of(const Template& command) {
  if (command.needs_shell()) return Tool::other;
  const std::string_view name = base_name(command.words().front());
  if (is_one_of(name, {"iptables", "iptables-nft", "iptables-legacy"})) return Tool::iptables;
  if (is_one_of(name, {"ip6tables", "ip6tables-nft", "ip6tables-legacy"})) return Tool::ip6tables;
  if (name == "route") return Tool::route;
  if (name == "ip") return Tool::ip;
  if (name == "ipset") return Tool::ipset;
  if (name == "nft") return Tool::nft;
  if (name == "ufw") return Tool::ufw;
  if (name == "firewall-cmd") return Tool::firewalld;
  return Tool::other;
}

// The place of the only word that is one of these; nothing when none or several are.
std::optional<std::size_t> only(const Words& words, std::initializer_list<std::string_view> which) {
  std::optional<std::size_t> found;
  for (std::size_t i = 1; i < words.size(); ++i) {
    if (!is_one_of(words[i], which)) continue;
    if (found) return std::nullopt;
    found = i;
  }
  return found;
}

void erase(Words& words, std::size_t at, std::size_t count = 1) {
  const auto from = words.begin() + static_cast<std::ptrdiff_t>(std::min(at, words.size()));
  const auto room = static_cast<std::size_t>(words.end() - from);
  words.erase(from, from + static_cast<std::ptrdiff_t>(std::min(count, room)));
}

// ---- Undo: one function per tool, nothing where the words are not the idiom --------------------

std::optional<Words> undo_iptables(Words words) {
  const auto at = only(words, {"-I", "-A", "--insert", "--append"});
  if (!at || *at + 1 >= words.size()) return std::nullopt;
  const bool insert = is_one_of(words[*at], {"-I", "--insert"});
  words[*at] = "-D";
  if (insert && *at + 2 < words.size() && is_number(words[*at + 2])) erase(words, *at + 2);
  return words;
}

std::optional<Words> undo_route(Words words) {
  const auto at = only(words, {"add"});
  if (!at) return std::nullopt;
  words[*at] = "del";
  return words;
}

std::optional<Words> undo_ip(Words words) {
  std::size_t at = 1;
  while (at < words.size() && is_one_of(words[at], {"-4", "-6"}))
    ++at;
  if (at + 2 >= words.size() || !is_one_of(words[at], {"route", "ro", "r", "rule", "ru"}) ||
      !is_one_of(words[at + 1], {"add", "append", "prepend", "replace"}))
    return std::nullopt;
  words[at + 1] = "del";
  return words;
}

// `ipset del` takes an entry and none of what `add` may say about it.
std::optional<Words> undo_ipset(Words words) {
  const auto at = only(words, {"add", "-A", "--add"});
  if (!at || *at + 2 >= words.size() || !has_token(words[*at + 2], kTargetToken))
    return std::nullopt;
  words[*at] = "del";
  words.resize(*at + 3);
  return words;
}

// The text's words, braces each by itself: nft joins its arguments with blanks and reads that.
Words nft_words(const Words& words, std::size_t from) {
  Words out;
  std::string part;
  const auto flush = [&] {
    if (!part.empty()) out.push_back(std::exchange(part, {}));
  };
  for (std::size_t i = from; i < words.size(); ++i) {
    for (const char c : words[i]) {
      if (c == ' ' || c == '\t' || c == '{' || c == '}') flush();
      if (c == '{' || c == '}') out.emplace_back(1, c);
      if (c != ' ' && c != '\t' && c != '{' && c != '}') part += c;
    }
    flush();
  }
  return out;
}

// add element [FAMILY] TABLE SET { $TARGET$ [timeout T] [expires T] [comment C] }
std::optional<Words> undo_nft(const Words& words) {
  const Words all = nft_words(words, 1);
  const auto open = std::find(all.begin(), all.end(), "{");
  const auto head = static_cast<std::size_t>(open - all.begin());
  if (head < 4 || head > 5 || all.size() < head + 3 || all.back() != "}" ||
      !is_one_of(all[0], {"add", "create"}) || all[1] != "element" || all[head + 1] != kTargetToken)
    return std::nullopt;
  std::size_t at = head + 2;
  while (at + 2 < all.size() && is_one_of(all[at], {"timeout", "expires", "comment"}))
    at += 2;
  if (at + 1 != all.size()) return std::nullopt;
  Words out{words.front(), "delete"};
  out.insert(out.end(), all.begin() + 1, open);
  out.push_back("{ " + std::string(kTargetToken) + " }");
  return out;
}

std::optional<Words> undo_ufw(Words words) {
  std::size_t at = 1;
  if (at < words.size() && words[at] == "--force") ++at;
  if (at + 1 < words.size() && words[at] == "insert" && is_number(words[at + 1]))
    erase(words, at, 2);
  if (at < words.size() && words[at] == "prepend") erase(words, at);
  if (at + 1 >= words.size() || !is_one_of(words[at], {"deny", "reject", "limit"}))
    return std::nullopt;
  if (const auto comment = only(words, {"comment"})) erase(words, *comment, 2);
  words.insert(words.begin() + static_cast<std::ptrdiff_t>(at), "delete");
  return words;
}

std::optional<Words> undo_firewalld(Words words) {
  constexpr std::string_view kAdd = "--add-";
  const auto adds = [&](const std::string& w) { return w.starts_with(kAdd); };
  if (std::count_if(words.begin(), words.end(), adds) != 1) return std::nullopt;
  std::string& option = *std::find_if(words.begin(), words.end(), adds);
  option = "--remove-" + option.substr(kAdd.size());
  for (std::size_t i = 1; i < words.size(); ++i) {
    if (words[i] == "--timeout")
      erase(words, i--, 2);
    else if (words[i].starts_with("--timeout="))
      erase(words, i--);
  }
  return words;
}

// ---- Twin --------------------------------------------------------------------------------------

bool names_ipv4(const Words& words) {
  return std::any_of(words.begin(), words.end(), [](const std::string& w) {
    const auto prefix = Prefix::parse(w);
    return prefix && prefix->address().is_v4();
  });
}

// iptables-extensions(8), REJECT: the types that say the same in ICMPv6.
std::string_view icmp6_type(std::string_view type) {
  if (type == "icmp-net-unreachable") return "icmp6-no-route";
  if (type == "icmp-host-unreachable") return "icmp6-addr-unreachable";
  if (is_one_of(type, {"icmp-port-unreachable", "icmp-proto-unreachable"}))
    return "icmp6-port-unreachable";
  if (type.starts_with("icmp-") && type.ends_with("-prohibited")) return "icmp6-adm-prohibited";
  return type;
}

std::optional<Words> twin_iptables(Words words) {
  if (names_ipv4(words)) return std::nullopt;
  std::string& program = words.front();
  program.insert(program.rfind('/') + 1 + 2, "6");  // ip|tables
  for (std::size_t i = 1; i < words.size(); ++i) {
    if (words[i - 1] == "--reject-with") words[i] = icmp6_type(words[i]);
    if (is_one_of(words[i - 1], {"-p", "--protocol"}) && words[i] == "icmp") words[i] = "ipv6-icmp";
  }
  return words;
}

// route(8) for inet6 knows neither -host, -net nor "reject" (tried: SIOGIFINDEX): a route into the
// loopback interface is the one that leads nowhere.
std::optional<Words> twin_route(const Words& words) {
  if (std::find(words.begin(), words.end(), "inet6") != words.end()) return words;
  Words out{words.front(), "-A", "inet6"};
  for (std::size_t i = 1; i < words.size(); ++i) {
    if (is_one_of(words[i], {"-host", "-net"})) continue;
    if (is_one_of(words[i], {"add", "del"}) || words[i] == kTargetToken) {
      out.push_back(words[i]);
    } else if (words[i] == "reject") {
      out.insert(out.end(), {"dev", "lo"});
    } else if (is_one_of(words[i], {"dev", "metric"}) && i + 1 < words.size()) {
      out.insert(out.end(), {words[i], words[i + 1]});
      ++i;
    } else {
      return std::nullopt;
    }
  }
  return out;
}

std::optional<Words> twin_ip(Words words) {
  if (names_ipv4(words)) return std::nullopt;
  std::replace(words.begin(), words.end(), std::string("-4"), std::string("-6"));
  return words;
}

// A set or chain of the family "ip" takes no IPv6 address, and which other to use nobody told us.
std::optional<Words> twin_nft(const Words& words) {
  const Words all = nft_words(words, 1);
  if (std::find(all.begin(), all.end(), "ip") != all.end()) return std::nullopt;
  return words;
}

std::optional<Words> twin_firewalld(Words words) {
  constexpr std::string_view kFour = "ipv4";
  for (std::string& w : words) {
    for (std::size_t at = w.find(kFour); at != std::string::npos; at = w.find(kFour, at + 1)) {
      const bool whole = (at == 0 || is_one_of(w.substr(at - 1, 1), {" ", "="})) &&
                         (at + kFour.size() == w.size() || w[at + kFour.size()] == ' ');
      if (whole) w[at + kFour.size() - 1] = '6';
    }
  }
  return words;
}

// A shell text that runs `name` and does not tell the families apart by itself.
bool runs_for_ipv4_only(std::string_view text) {
  const auto holds_word = [&](std::string_view name) {
    for (std::size_t at = text.find(name); at != std::string_view::npos;
         at = text.find(name, at + 1)) {
      const auto edge = [](char c) {
        return !(c >= 'a' && c <= 'z') && !(c >= '0' && c <= '9') && c != '_';
      };
      const std::size_t end = at + name.size();
      if ((at == 0 || edge(text[at - 1])) && (end == text.size() || edge(text[end]))) return true;
    }
    return false;
  };
  if (holds_word("ip6tables") || holds_word("inet6")) return false;
  return holds_word("iptables") || text.starts_with("route ") || text.starts_with("/sbin/route ");
}

std::optional<Template> made(std::optional<Words> words) {
  if (!words) return std::nullopt;
  return Template::from_words(std::move(*words));
}

}  // namespace

std::optional<Template> still_there(const Template& undoing) {
  Words words = undoing.words();
  switch (tool_of(undoing)) {
    case Tool::iptables:
    case Tool::ip6tables: {
      const auto at = only(words, {"-D", "--delete"});
      // By number, a rule is another one as soon as it is gone.
      if (!at || *at + 2 >= words.size() || is_number(words[*at + 2])) return std::nullopt;
      words[*at] = "-C";
      break;
    }
    case Tool::ipset: {
      const auto at = only(words, {"del", "-D", "--del"});
      if (!at) return std::nullopt;
      words[*at] = "test";
      break;
    }
    case Tool::nft:
      if (words.size() < 3 || words[1] != "delete" || words[2] != "element") return std::nullopt;
      words[1] = "get";
      break;
    case Tool::route:
    case Tool::ip:
    case Tool::ufw:
    case Tool::firewalld:
    case Tool::other:
      return std::nullopt;
  }
  return Template::from_words(std::move(words));
}

std::optional<Template> undo(const Template& done) {
  if (done.needs_probe() || !done.has_target()) return std::nullopt;
  switch (tool_of(done)) {
    case Tool::iptables:
    case Tool::ip6tables:
      return made(undo_iptables(done.words()));
    case Tool::route:
      return made(undo_route(done.words()));
    case Tool::ip:
      return made(undo_ip(done.words()));
    case Tool::ipset:
      return made(undo_ipset(done.words()));
    case Tool::nft:
      return made(undo_nft(done.words()));
    case Tool::ufw:
      return made(undo_ufw(done.words()));
    case Tool::firewalld:
      return made(undo_firewalld(done.words()));
    case Tool::other:
      return std::nullopt;
  }
  return std::nullopt;
}

std::optional<Template> twin(const Template& command) {
  // The owner's own spelling where no word has to change.
  const auto with = [&](std::optional<Words> words) {
    return words == command.words() ? std::optional(command) : made(std::move(words));
  };
  switch (tool_of(command)) {
    case Tool::iptables:
      return with(twin_iptables(command.words()));
    case Tool::route:
      return with(twin_route(command.words()));
    case Tool::ip:
      return with(twin_ip(command.words()));
    case Tool::nft:
      return with(twin_nft(command.words()));
    case Tool::firewalld:
      return with(twin_firewalld(command.words()));
    case Tool::ip6tables:
    case Tool::ipset:
    case Tool::ufw:
      return command;
    case Tool::other:
      if (command.needs_shell() && runs_for_ipv4_only(command.text())) return std::nullopt;
      return command;
  }
  return std::nullopt;
}

}  // namespace portsentry
