// Every line that users read and tools parse, in the shapes of PortSentry 1.2 (LOG_FORMAT
// "classic") or 2.x: logwatch, Wazuh, fail2ban and people's own awk depend on them to the byte.
// Pure: values in, lines out, each without its newline. A line holds our own words, numbers,
// addresses and the administrator's own templates; nothing that an attacker chose but a host name,
// of which only letters, digits and "-._\" are left (resolver_client.h).
//
// 1.2 prints "H/A", the resolved name and the address. `host` is that name; empty: none is known,
// and the address stands in its place, as in 1.2 where a name does not resolve.
//
// An event has two moments, and the formats differ in when they speak: 1.2 tells the probe when it
// is seen, and what came of it later; 2.x says everything in one line at the end. So call seen()
// when a probe is reported, and judged() once when its fate is known: for a ban, with the
// enforcer's first answer. What a ban did in between (blocked_…) is told before judged().
#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "common/config.h"
#include "common/messages.h"
#include "monitor/ban_budget.h"
#include "monitor/decide.h"

namespace portsentry::monitor {

using Text = std::vector<std::string>;  // lines that belong together, in order; often none

// What came of a probe.
enum class Fate : std::uint8_t {
  ignored,          // a line of IGNORE_FILE covers it
  untriggered,      // below SCAN_TRIGGER
  own_packet,       // its source is its target
  observed,         // BLOCK_TCP or BLOCK_UDP is 0
  commanded,        // it is 2: commands ran, nobody is blocked
  pending,          // a ban was asked for earlier and is not confirmed
  blocked,          // a ban is confirmed
  already_blocked,  // one was
  failed,           // the guard, the kernel or a command said no
  count_,
};

class Lines {
 public:
  // The modes decide words that 1.2's six programs have each their own way.
  Lines(LogFormat format, WatchMode tcp, WatchMode udp) : format_(format), tcp_(tcp), udp_(udp) {}
  explicit Lines(const Config& config)
      : Lines(config.log_format, config.tcp_mode, config.udp_mode) {}

  // ---- a probe, and what came of it -------------------------------------------------------------

  // The exact address, also where a whole /64 is held responsible.
  [[nodiscard]] Text seen(const Detection& probe, std::string_view host = {}) const;
  // `reason` is for Fate::failed.
  [[nodiscard]] Text judged(const Detection& probe, Fate fate, std::string_view host = {},
                            std::string_view reason = {}) const;
  // The first line of Fate::failed alone, for a ban of which no probe is remembered.
  [[nodiscard]] std::string could_not_block(const Address& address, Protocol protocol,
                                            std::string_view reason,
                                            std::string_view host = {}) const;

  // ---- what was done; the same in both formats --------------------------------------------------

  // The kernel has confirmed it. logwatch looks for "Host ADDR has been blocked".
  [[nodiscard]] std::string blocked_natively(const Source& source,
                                             std::chrono::seconds duration) const;
  // `command`, `line`: as they were run or written, with the values in their places.
  [[nodiscard]] std::string blocked_by_command(const Source& source,
                                               std::string_view command) const;
  [[nodiscard]] std::string blocked_by_wrappers(const Source& source, std::string_view line) const;
  [[nodiscard]] std::string external_run(const Source& source, std::string_view command) const;
  // The line that fail2ban's stock filter and the guide's `awk '{print $8}'` find in any log; the
  // same text ends a history line (history.h).
  [[nodiscard]] std::string blocked_compatible(const Address& address, const BanCause& cause,
                                               std::string_view host = {}) const;
  [[nodiscard]] std::string command_failed(Command command, const Source& source, Verdict verdict,
                                           std::int32_t error) const;
  // One line of what a command printed; cut where it is long.
  [[nodiscard]] std::string command_said(const Source& source, std::string_view output) const;

  // ---- bans, beside the events ------------------------------------------------------------------

  [[nodiscard]] std::string would_ban(const Source& source, std::chrono::seconds duration,
                                      Protocol protocol, bool without_firewall,
                                      std::string_view conf_path) const;
  // The same where the file arms, and "portsentryctl observe" stands above it.
  [[nodiscard]] std::string would_ban_but_observes(const Source& source,
                                                   std::chrono::seconds duration) const;
  // Armed, and too many bans of the kind were asked for lately.
  [[nodiscard]] std::string over_budget(BanClass how) const;
  [[nodiscard]] std::string within_budget(BanClass how, std::uint64_t refused) const;
  [[nodiscard]] std::string would_not_ban(const Address& address, std::string_view reason) const;
  [[nodiscard]] std::string narrowed(const Source& from, const Address& to, Narrowed why) const;
  [[nodiscard]] std::string expired(const Source& source) const;
  [[nodiscard]] std::string lifted_by_hand(const Source& source) const;
  [[nodiscard]] std::string adopted(std::size_t bans) const;
  [[nodiscard]] std::string lifted_as_ignored(const Source& source) const;
  [[nodiscard]] std::string lifted_as_protected(const Source& source) const;
  [[nodiscard]] std::string could_not_lift(const Source& source, std::string_view reason) const;
  // A ban by a command is over, and nothing is known that undoes it.
  [[nodiscard]] std::string not_undone(const Source& source) const;
  // An errno or the exit status of nft: told as a number.
  [[nodiscard]] std::string table_lost(std::int32_t code) const;
  [[nodiscard]] std::string table_restored(std::size_t put_back, std::size_t failed) const;

  // ---- the daemon itself ------------------------------------------------------------------------

  [[nodiscard]] std::string starting(std::string_view version) const;
  [[nodiscard]] std::string observing(std::string_view conf_path) const;
  // What is watched, by protocol and mode. `unbound`: ports of a bind mode that could not be had.
  [[nodiscard]] Text listening(const Config& config, const PortSets& unbound) const;
  [[nodiscard]] std::string could_not_bind(Protocol protocol, Port port, std::int32_t error) const;
  // Those beyond the ones that were told one by one.
  [[nodiscard]] std::string could_not_bind_more(Protocol protocol, std::size_t ports) const;
  [[nodiscard]] std::string could_not_bind_any(Protocol protocol) const;
  [[nodiscard]] std::string active() const;  // the readiness line
  [[nodiscard]] std::string shutting_down() const;
  [[nodiscard]] std::string reloaded(std::uint32_t generation) const;
  // `generation`: the one that stays.
  [[nodiscard]] std::string reload_refused(std::string_view why, std::uint32_t generation) const;
  [[nodiscard]] std::string sensor_lost(const SensorLost& lost) const;
  [[nodiscard]] std::string sensor_back() const;
  [[nodiscard]] std::string sensor_broken(std::string_view what) const;
  [[nodiscard]] std::string resolver_lost() const;
  // `known`: it had told whom not to ban, which stays in force.
  [[nodiscard]] std::string scout_lost(bool known) const;
  [[nodiscard]] std::string scout_broken(std::string_view what) const;
  [[nodiscard]] std::string scout_overdue() const;
  [[nodiscard]] std::string nothing_to_scout() const;
  [[nodiscard]] std::string suppressed(std::uint64_t lines, std::string_view reason) const;
  [[nodiscard]] std::string suppressed_commands(std::uint64_t commands,
                                                std::string_view reason) const;
  [[nodiscard]] std::string file_failed(std::string_view key, std::string_view what) const;
  // Anything else of the kind, which no peer says.
  [[nodiscard]] std::string notice(std::string_view text) const;
  [[nodiscard]] std::string error(std::string_view text) const;

 private:
  [[nodiscard]] bool classic() const { return format_ == LogFormat::classic; }
  [[nodiscard]] WatchMode mode(Protocol p) const { return p == Protocol::tcp ? tcp_ : udp_; }
  [[nodiscard]] std::string scan_line(const Detection& probe, Fate fate,
                                      std::string_view host) const;
  void listening_to(Protocol protocol, const Config& config, const PortSets& unbound,
                    Text& to) const;

  LogFormat format_;
  WatchMode tcp_;
  WatchMode udp_;
};

}  // namespace portsentry::monitor
