#include "enforcer/generation.h"

#include <fcntl.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <span>
#include <string_view>
#include <utility>

#include "common/ephemeral.h"
#include "common/finding.h"
#include "enforcer/root_files.h"
#include "enforcer/trap_rules.h"

namespace portsentry::enforcer {
namespace {

// Where output files are by default, and the state of monitor and hosts.deny editor is.
constexpr char kLibDirectory[] = "/var/lib/portsentry";

// A sensor's own: numbers below 64 (see its sockets.h), and accepted connections.
constexpr std::size_t kOwnDescriptors = 192;
// What every process of ours may have (roles.h).
static_assert(kOwnDescriptors <= kFewDescriptors);

// The monitor may write to `written`: nothing that root reads may be that file, by whatever name.
bool same_file(const UniqueFd& written, const std::string& path) {
  struct stat one {};
  struct stat other {};
  return fstat(written.get(), &one) == 0 && S_ISREG(one.st_mode) &&
         stat(path.c_str(), &other) == 0 && one.st_dev == other.st_dev &&
         one.st_ino == other.st_ino;
}

Result<UniqueFd> open_null() {
  UniqueFd fd(open("/dev/null", O_RDWR | O_CLOEXEC));
  if (!fd) return Error::from_errno("open /dev/null", errno);
  return fd;
}

Result<UniqueFd> duplicate(const UniqueFd& fd) {
  UniqueFd copy(fcntl(fd.get(), F_DUPFD_CLOEXEC, 3));
  if (!copy) return Error::from_errno("fcntl(F_DUPFD_CLOEXEC)", errno);
  return copy;
}

// One reading in the making: each step either adds to the generation or a problem.
class Reader {
 public:
  Reader(const ConfigSource& source, std::uint32_t number, const Generation* before)
      : source_(source), before_(before) {
    g_.number = number;
  }

  GenerationReading read() && {
    const bool all = read_texts() && open_outputs() && (!g_.usable || prepare());
    if (all) out_.generation = std::move(g_);
    return std::move(out_);
  }

 private:
  bool problem(ReloadProblem which, Error error) {
    out_.problems.push_back({which, std::move(error)});
    return false;
  }

  // True when `result` holds a value, which is moved to `to`.
  template <class T>
  bool take(Result<T> result, T& to, ReloadProblem which) {
    if (!result) return problem(which, result.error());
    to = std::move(*result);
    return true;
  }

  bool seal(const char* name, Bytes content, UniqueFd& to) {
    return take(sealed_copy(name, content), to, ReloadProblem::other);
  }

  // The configuration whose files are opened: a text with mistakes may hold half of a path.
  [[nodiscard]] const Config& files() const {
    return g_.usable || before_ == nullptr ? g_.config : before_->config;
  }

  bool read_texts() {
    std::string text;
    if (!take(read_trusted(source_.path, kMaxConfFile, true), text, ReloadProblem::config_file))
      return false;
    ConfigReading reading = read_config(text, source_.path, source_.overrides);
    out_.findings = std::move(reading.findings);
    g_.config = std::move(reading.config);
    g_.usable = error_free(out_.findings);
    // At start nobody is there to whom it could be shown.
    if (!g_.usable && before_ == nullptr) return false;

    std::string ignore;
    if (!files().ignore_file.empty()) {
      auto content = read_trusted(files().ignore_file, kMaxIgnoreFile, true);
      if (!content)
        return problem(ReloadProblem::ignore_file,
                       {"IGNORE_FILE: " + content.error().what, content.error().code});
      ignore = std::move(*content);
    }
    return seal("config", std::as_bytes(std::span(text)), g_.config_text) &&
           seal("ignore", std::as_bytes(std::span(ignore)), g_.ignore_text);
  }

  // What an output file must not be.
  [[nodiscard]] Result<void> judge_output(const UniqueFd& opened,
                                          const std::vector<std::string>& others) const {
    for (const std::string& other : others) {
      if (!other.empty() && same_file(opened, other))
        return Error{"is the same file as " + other, EINVAL};
    }
    return {};
  }

  bool open_output(std::string_view key, const std::string& path,
                   const std::vector<std::string>& others, const UniqueFd* previous, UniqueFd& to,
                   ReloadProblem which) {
    const Output kind = which == ReloadProblem::log_file ? Output::log : Output::record;
    auto opened = path.empty() ? open_null() : open_append(path, kind);
    const Result<void> judged = opened ? judge_output(*opened, others) : opened.error();
    if (judged) {
      to = std::move(*opened);
      return true;
    }
    problem(which,
            {std::string(key) + (opened ? " " : ": ") + judged.error().what, judged.error().code});
    if (previous == nullptr) return false;
    return take(duplicate(*previous), to, ReloadProblem::other);
  }

  bool open_outputs() {
    if (const auto made = make_directory(kLibDirectory, 0755, 0, 0); !made)
      return problem(ReloadProblem::other, made.error());
    const Config& c = files();
    const Outputs* old = before_ != nullptr ? &before_->outputs : nullptr;
    const auto was = [old](UniqueFd Outputs::*which) {
      return old != nullptr ? &(old->*which) : nullptr;
    };
    Outputs& o = g_.outputs;
    return open_output("HISTORY_FILE", c.history_file, {source_.path, c.ignore_file},
                       was(&Outputs::history), o.history, ReloadProblem::history_file) &&
           open_output("BLOCKED_FILE", c.blocked_file,
                       {source_.path, c.ignore_file, c.history_file}, was(&Outputs::blocked),
                       o.blocked, ReloadProblem::blocked_file) &&
           open_output("LOG_FILE", c.log_file,
                       {source_.path, c.ignore_file, c.history_file, c.blocked_file},
                       was(&Outputs::log_file), o.log_file, ReloadProblem::log_file);
  }

  bool prepare() {
    g_.orders = watch_orders(g_.config, read_ephemeral_ports());
    if (std::string why = too_many_ports(g_.orders, descriptor_limit()); !why.empty())
      return problem(ReloadProblem::descriptors, {std::move(why), EMFILE});
    if (!seal("watch orders", std::as_bytes(std::span(&g_.orders, 1)), g_.orders_memory))
      return false;
    return choose_backend() && choose_resolver();
  }

  bool choose_backend() {
    const Config& c = g_.config;
    g_.commands = {.kill_route = {},
                   .kill_route_remove = {},
                   .kill_run_cmd = c.kill_run_cmd,
                   .external_command = c.external_command,
                   .kill_hosts_deny = c.kill_hosts_deny};
    g_.backend = backend_of(c);
    std::string unusable;
    if (g_.backend == Backend::command) {
      const std::string fault = route_fault(c.kill_route);
      if (fault.empty()) {
        g_.commands.kill_route = c.kill_route;
        g_.commands.kill_route_remove = c.kill_route_remove;
      } else if (c.firewall == Firewall::automatic) {
        // A ban by other means is worth more than none; and the one who moved a program wants to
        // know.
        unusable = "KILL_ROUTE cannot be used: " + fault + ": ";
        out_.warnings.push_back(unusable + "nftables bans in its place");
        g_.backend = Backend::nftables;
      } else if (!c.armed()) {
        // Each ban will say so, should somebody arm the daemon.
        g_.commands.kill_route = c.kill_route;
        g_.commands.kill_route_remove = c.kill_route_remove;
        out_.warnings.push_back("KILL_ROUTE cannot be used: " + fault +
                                ": nothing could be banned, were the daemon armed");
      } else {
        return problem(ReloadProblem::firewall, {"KILL_ROUTE cannot be used: " + fault, ENOENT});
      }
    }
    if (g_.backend == Backend::none) return true;
    auto nft = open_binary(role(RoleId::nft));
    if (g_.backend == Backend::command) {
      // For the traps beside it, if it is there.
      if (nft && why_no_traps(c) == NoTraps::none) g_.nft = std::move(*nft);
      return true;
    }
    // Who observes needs no firewall.
    if (!nft && !c.armed()) return true;
    if (!nft)
      return problem(ReloadProblem::firewall, {unusable + nft.error().what, nft.error().code});
    g_.nft = std::move(*nft);
    return true;
  }

  static std::string route_fault(const std::string& text) {
    const auto parsed = Template::parse(text);
    if (!parsed) return parsed.error().what;
    const std::string program = parsed->program();
    if (program.empty()) return {};  // a shell will look for itself
    const auto found = find_program(program);
    return found ? std::string() : found.error().what;
  }

  bool choose_resolver() {
    if (!g_.config.resolve_host) return true;
    const auto account = account_of(role(RoleId::resolver));
    if (!account)
      return problem(ReloadProblem::account,
                     {"RESOLVE_HOST: " + account.error().what, account.error().code});
    for (const RoleId id : {RoleId::monitor, RoleId::sensor, RoleId::scout}) {
      const auto other = account_of(role(id));
      if (other && other->uid == account->uid)
        return problem(
            ReloadProblem::account,
            {"RESOLVE_HOST: user portsentry-resolver must not have another one's number", EINVAL});
    }
    g_.resolver = *account;
    return true;
  }

  const ConfigSource& source_;
  const Generation* before_;
  Generation g_;
  GenerationReading out_;
};

}  // namespace

GenerationReading read_generation(const ConfigSource& source, std::uint32_t number,
                                  const Generation* before) {
  return Reader(source, number, before).read();
}

Backend backend_of(const Config& config) {
  switch (config.backend()) {
    case Firewall::nftables:
      return Backend::nftables;
    case Firewall::command:
      return Backend::command;
    case Firewall::automatic:  // which backend() never says
    case Firewall::none:
      break;
  }
  return Backend::none;
}

std::optional<ModeWord> mode_of(const Config& config, Protocol protocol) {
  const WatchMode mode = config.mode(protocol);
  if (mode == WatchMode::none) return std::nullopt;
  return ModeWord{.protocol = protocol, .mode = mode};
}

std::size_t sensor_descriptors(const WatchOrders& orders) {
  return orders.bind.tcp.size() + orders.bind.udp.size() + kOwnDescriptors;
}

std::string too_many_ports(const WatchOrders& orders, std::size_t limit) {
  const std::size_t needed = sensor_descriptors(orders);
  if (orders.bind.empty() || needed <= limit) return {};
  const std::size_t fit = limit > kOwnDescriptors ? limit - kOwnDescriptors : 0;
  const auto text = [](std::size_t n) { return std::to_string(n); };
  return "listening on " + text(needed - kOwnDescriptors) + " ports takes " + text(needed) +
         " descriptors, and the limit is " + text(limit) + " (RLIMIT_NOFILE): " + text(fit) +
         " ports would fit; raise it (LimitNOFILE= in the unit, or ulimit -n), or use stcp and " +
         "sudp, which need none";
}

std::size_t descriptor_limit() {
  rlimit limits{};
  if (getrlimit(RLIMIT_NOFILE, &limits) != 0) return 0;
  return limits.rlim_max;
}

}  // namespace portsentry::enforcer
