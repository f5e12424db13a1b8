#include "enforcer/options.h"

#include <algorithm>
#include <array>
#include <optional>

#include "common/finding.h"

namespace portsentry::enforcer {
namespace {

// Everything that can be typed. The table is what --help, the nearest spelling and the parser know.
enum class Kind {
  tcp_mode,
  udp_mode,
  stealth,
  connect,
  config_foreground,
  config_file,
  check,
  migrate,
  version,
  help,
  background,
  method,
  interface,
  no_local_check,
  no_service_check,
  log_output,
  nothing,
};

struct Word {
  std::string_view text;
  Kind kind;
  bool takes_value = false;
};

constexpr std::array kWords{
    Word{"-tcp", Kind::tcp_mode},
    Word{"-stcp", Kind::tcp_mode},
    Word{"-atcp", Kind::tcp_mode},
    Word{"-udp", Kind::udp_mode},
    Word{"-sudp", Kind::udp_mode},
    Word{"-audp", Kind::udp_mode},
    Word{"--stealth", Kind::stealth},
    Word{"--connect", Kind::connect},
    Word{"-f", Kind::config_foreground, true},
    Word{"-c", Kind::config_file, true},
    Word{"--configfile", Kind::config_file, true},
    Word{"-t", Kind::check},
    Word{"--migrate", Kind::migrate, true},
    Word{"-v", Kind::version},
    Word{"-V", Kind::version},
    Word{"--version", Kind::version},
    Word{"-h", Kind::help},
    Word{"--help", Kind::help},
    Word{"-d", Kind::background},
    Word{"-D", Kind::background},
    Word{"--daemon", Kind::background},
    Word{"-m", Kind::method, true},
    Word{"--method", Kind::method, true},
    Word{"-i", Kind::interface, true},
    Word{"--interface", Kind::interface, true},
    Word{"-L", Kind::no_local_check},
    Word{"--disable-local-check", Kind::no_local_check},
    Word{"-S", Kind::no_service_check},
    Word{"--disable-service-check", Kind::no_service_check},
    Word{"-l", Kind::log_output, true},
    Word{"--logoutput", Kind::log_output, true},
    Word{"--debug", Kind::nothing},
    Word{"--verbose", Kind::nothing},
};

std::string quoted(std::string_view text) {
  return "\"" + printable(text) + "\"";
}

Error unknown(std::string_view argument) {
  std::vector<std::string_view> words(kWords.size());
  std::transform(kWords.begin(), kWords.end(), words.begin(), [](const Word& w) { return w.text; });
  std::string what = "unknown argument " + quoted(argument);
  // One letter is near to every other.
  const std::string_view guess =
      argument.size() > 2 ? nearest(argument, words) : std::string_view();
  if (!guess.empty()) what += "; did you mean " + std::string(guess) + "?";
  return Error{what};
}

class Parser {
 public:
  Result<Options> parse(std::span<const std::string_view> arguments);

 private:
  using Done = std::optional<Error>;

  Done take(const Word& word, std::string_view value);
  Done set_mode(std::string& mode, const Word& word, std::string_view protocol);
  Done set_both(const Word& word, std::string_view tcp, std::string_view udp);
  Done set_config(const Word& word, std::string_view value);
  Done add_interface(std::string_view value);
  Done add_output(std::string_view value);
  void settle();
  Done contradictions() const;
  void set(std::string_view key, std::string value) {
    out_.overrides.push_back({std::string(key), std::move(value)});
  }

  Options out_;
  std::string tcp_mode_, udp_mode_;
  std::string_view both_;     // --stealth or --connect
  std::string_view file_by_;  // the word that named the file
  std::string_view ground_by_;
  std::vector<std::string_view> interfaces_;
  bool all_interfaces_ = false;
  std::vector<std::string_view> outputs_;
  bool local_check_ = true;
  bool service_check_ = true;
};

Parser::Done Parser::set_mode(std::string& mode, const Word& word, std::string_view protocol) {
  const std::string_view wanted = word.text.substr(1);
  if (!mode.empty() && mode != wanted) {
    return Error{"-" + mode + " and -" + std::string(wanted) + " are two " + std::string(protocol) +
                 " modes: choose one"};
  }
  mode = wanted;
  return {};
}

Parser::Done Parser::set_both(const Word& word, std::string_view tcp, std::string_view udp) {
  if (!both_.empty() && both_ != word.text)
    return Error{"--stealth and --connect are two modes: choose one"};
  both_ = word.text;
  set("TCP_MODE", std::string(tcp));
  set("UDP_MODE", std::string(udp));
  return {};
}

Parser::Done Parser::set_config(const Word& word, std::string_view value) {
  if (!file_by_.empty()) {
    return Error{file_by_ == word.text ? std::string(word.text) + " is given twice"
                                       : std::string(file_by_) + " and " + std::string(word.text) +
                                             " both name a configuration file"};
  }
  file_by_ = word.text;
  out_.config = value;
  return {};
}

// 2.x: the two collective names stand alone, others may be repeated.
Parser::Done Parser::add_interface(std::string_view value) {
  const bool collective = value == "ALL" || value == "ALL_NLO";
  if ((collective && !interfaces_.empty()) || (all_interfaces_ && !collective)) {
    return Error{"ALL and ALL_NLO are every interface: no other can be named beside them"};
  }
  if (!collective) {
    interfaces_.push_back(value);
    return {};
  }
  all_interfaces_ = true;
  if (value == "ALL") {
    out_.warnings.emplace_back(
        "--interface=ALL: loopback is not watched (that traffic is this host talking to itself); "
        "all others are");
  }
  return {};
}

Parser::Done Parser::add_output(std::string_view value) {
  if (value != "stdout" && value != "syslog")
    return Error{"found " + quoted(value) + " for --logoutput, expected stdout or syslog"};
  if (std::find(outputs_.begin(), outputs_.end(), value) == outputs_.end())
    outputs_.push_back(value);
  return {};
}

Parser::Done Parser::take(const Word& word, std::string_view value) {
  switch (word.kind) {
    case Kind::tcp_mode:
      return set_mode(tcp_mode_, word, "TCP");
    case Kind::udp_mode:
      return set_mode(udp_mode_, word, "UDP");
    case Kind::stealth:
      return set_both(word, "stcp", "sudp");
    case Kind::connect:
      return set_both(word, "tcp", "udp");
    case Kind::config_foreground:
    case Kind::config_file:
      return set_config(word, value);
    case Kind::check:
      out_.action = Options::Action::check;
      return {};
    case Kind::migrate:
      out_.action = Options::Action::migrate;
      return set_config(word, value);
    case Kind::version:
    case Kind::help:
      return {};  // answered before anything is taken
    case Kind::background:
      ground_by_ = word.text;
      return {};
    case Kind::method:
      if (value == "pcap" || value == "raw") return {};  // one capture does for both
      return Error{"found " + quoted(value) + " for --method, expected pcap or raw"};
    case Kind::interface:
      return add_interface(value);
    case Kind::no_local_check:
      local_check_ = false;
      return {};
    case Kind::no_service_check:
      service_check_ = false;
      return {};
    case Kind::log_output:
      return add_output(value);
    case Kind::nothing:
      return {};
  }
  return {};
}

Parser::Done Parser::contradictions() const {
  const bool words = !tcp_mode_.empty() || !udp_mode_.empty();
  if (words && !both_.empty()) {
    const std::string& word = tcp_mode_.empty() ? udp_mode_ : tcp_mode_;
    return Error{"-" + word + " and " + std::string(both_) + " both set the mode: choose one"};
  }
  if (file_by_ == "-f" && !ground_by_.empty()) {
    return Error{"-f stays in the foreground and " + std::string(ground_by_) +
                 " does not: write -c FILE with " + std::string(ground_by_)};
  }
  return {};
}

// What the words come to. Words of 1.2 replace both modes: -tcp alone watches no UDP.
void Parser::settle() {
  if (!tcp_mode_.empty() || !udp_mode_.empty()) {
    set("TCP_MODE", tcp_mode_);
    set("UDP_MODE", udp_mode_);
    out_.ground = Options::Ground::as_started;
  }
  if (!ground_by_.empty()) out_.ground = Options::Ground::background;
  if (file_by_ == "-f") out_.ground = Options::Ground::foreground;
  out_.check_unless_root = file_by_ == "-c" || file_by_ == "--configfile";
  const auto joined = [](const std::vector<std::string_view>& parts) {
    std::string all;
    for (const std::string_view part : parts)
      all += (all.empty() ? "" : " ") + std::string(part);
    return all;
  };
  if (all_interfaces_ || !interfaces_.empty()) set("INTERFACES", joined(interfaces_));
  if (!local_check_) set("LOCAL_CHECK", "0");
  if (!service_check_) set("SERVICE_CHECK", "0");
  if (!outputs_.empty()) set("LOG_OUTPUT", joined(outputs_));
}

Result<Options> Parser::parse(std::span<const std::string_view> arguments) {
  for (std::size_t i = 0; i < arguments.size(); ++i) {
    const std::string_view argument = arguments[i];
    const std::size_t equals =
        argument.starts_with("--") ? argument.find('=') : std::string_view::npos;
    const std::string_view name = argument.substr(0, equals);
    const auto word =
        std::find_if(kWords.begin(), kWords.end(), [&](const Word& w) { return w.text == name; });
    if (word == kWords.end()) return unknown(name);
    // Whoever asks for these wants an answer, whatever else stands there.
    if (word->kind == Kind::help || word->kind == Kind::version) {
      out_.action = word->kind == Kind::help ? Options::Action::help : Options::Action::version;
      return std::move(out_);
    }
    std::string_view value;
    if (equals != std::string_view::npos) {
      if (!word->takes_value) return Error{std::string(name) + " takes no value"};
      value = argument.substr(equals + 1);
    } else if (word->takes_value && i + 1 < arguments.size()) {
      value = arguments[++i];
    }
    if (word->takes_value && value.empty()) {
      const bool file = word->kind == Kind::config_file || word->kind == Kind::config_foreground ||
                        word->kind == Kind::migrate;
      return Error{std::string(name) + " needs a " + (file ? "file" : "value")};
    }
    if (const Done error = take(*word, value)) return *error;
  }
  if (const Done error = contradictions()) return *error;
  settle();
  return std::move(out_);
}

std::string_view value_of(const std::vector<ConfigOverride>& overrides, std::string_view key) {
  const auto found = std::find_if(overrides.begin(), overrides.end(),
                                  [&](const ConfigOverride& o) { return o.key == key; });
  return found == overrides.end() ? std::string_view() : std::string_view(found->value);
}

}  // namespace

Result<Options> parse_options(std::span<const std::string_view> arguments) {
  return Parser().parse(arguments);
}

std::string mode_words(const std::vector<ConfigOverride>& overrides) {
  std::string words;
  for (const std::string_view key : {"TCP_MODE", "UDP_MODE"}) {
    const std::string_view mode = value_of(overrides, key);
    if (mode.empty()) continue;
    words += (words.empty() ? "-" : " -") + std::string(mode);
  }
  return words;
}

std::string both_together(const std::vector<ConfigOverride>& running,
                          const std::vector<ConfigOverride>& wanted) {
  std::vector<ConfigOverride> both;
  unsigned of_running = 0;
  for (const std::string_view key : {"TCP_MODE", "UDP_MODE"}) {
    const std::string_view one = value_of(running, key);
    const std::string_view other = value_of(wanted, key);
    if (one.empty() == other.empty()) return {};
    if (!one.empty()) of_running += 1;
    both.push_back({std::string(key), std::string(one.empty() ? other : one)});
  }
  if (of_running != 1) return {};  // one of them has both words, and the other none
  return "portsentry " + mode_words(both);
}

std::string_view usage() {
  return "usage: portsentryd [-f FILE]         run in the foreground\n"
         "       portsentryd MODE... [-c FILE] as PortSentry 1.2: to the background, once ready, "
         "when\n"
         "                                     started at a terminal\n"
         "       portsentryd -t [-f FILE]      check the configuration (any user)\n"
         "       portsentryd --migrate FILE    print a new configuration for an old one\n"
         "       portsentryd -v | -V | -h      version, this help\n"
         "\n"
         "MODE is one of -tcp -stcp -atcp, one of -udp -sudp -audp, or both; it replaces TCP_MODE "
         "and\n"
         "UDP_MODE of the file, so that -tcp alone watches no UDP. t and u listen on the ports, st "
         "and su\n"
         "watch them unseen, at and au watch all below ADVANCED_PORTS_TCP and ADVANCED_PORTS_UDP.\n"
         "\n"
         "  -f FILE                      stay in the foreground, with this configuration\n"
         "  -c, --configfile FILE        this configuration; who is not root only checks it, as "
         "with -t\n"
         "  -d, -D, --daemon             always to the background\n"
         "  -l, --logoutput WHERE        stdout or syslog; repeat for both (LOG_OUTPUT)\n"
         "  -i, --interface NAME         only this one; repeat for more; ALL_NLO: all "
         "(INTERFACES)\n"
         "  -L, --disable-local-check    a probe of an address by itself counts (LOCAL_CHECK)\n"
         "  -S, --disable-service-check  ports of local services count (SERVICE_CHECK)\n"
         "  --stealth, --connect         -stcp -sudp, -tcp -udp\n"
         "  -m, --method, --debug, --verbose   accepted for 2.x, without effect\n"
         "\n"
         "FILE is /etc/portsentry/portsentry.conf unless given.\n"
         "Exit status: 0 ok, 1 run-time failure, 2 usage, 77 missing privilege, 78 "
         "configuration.\n";
}

}  // namespace portsentry::enforcer
