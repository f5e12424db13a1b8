// Our lines in /etc/hosts.deny. Pure: text in, text out. Files are hosts_deny_files.h.
//
// An entry of ours is two lines, because libwrap knows no comment at the end of a line:
//     # portsentryd 192.0.2.1
//     ALL: 192.0.2.1 : DENY
// Every other line is somebody else's and keeps its bytes, whatever it holds.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "common/bytes.h"
#include "common/result.h"
#include "common/templates.h"
#include "common/unique_fd.h"

namespace portsentry::enforcer {

inline constexpr std::size_t kMaxHostsDeny = std::size_t{16} * 1024 * 1024;  // bytes
inline constexpr std::size_t kMaxHostsDenyBatch = 256;                       // changes

struct HostsDenyChange {
  enum class Op : std::uint8_t { add = 1, remove = 2 } op;
  CommandValues values;
};

// Why this KILL_HOSTS_DENY cannot be used; empty when it can. It must hold $TARGET$ and a ':', be no
// comment, fit into libwrap's line buffer, and not end in a backslash, which would swallow the line
// below it (hosts_access(5)).
[[nodiscard]] std::string hosts_deny_line_fault(std::string_view line);

// "192.0.2.1", "[2001:db8::1]", "[2001:db8::]/64": how hosts_access(5) spells a client. 2.x and 1.2
// wrote IPv6 without brackets, which denies nobody.
[[nodiscard]] std::string hosts_deny_target(const Source& source);

// `text` after these changes, the last one of a source winning. Adding what is there already, and
// removing what is not there, changes nothing. `line`: KILL_HOSTS_DENY, without fault.
// A last line that lacks its newline gets one before something is added.
[[nodiscard]] std::string edit_hosts_deny(std::string_view text,
                                          std::span<const HostsDenyChange> changes,
                                          std::string_view line);

// ---- The journal: what makes an edit in place survive a kill -----------------------------------

// Everything that leads from `before` to `after`: how much stays at the beginning (and its
// checksum), the bytes after it as they were and as they shall be, and a checksum of all that.
[[nodiscard]] std::string make_journal(std::string_view before, std::string_view after);

// What the file must become when an earlier run was killed: nothing when it is to be left alone.
// `journal` is what the journal file holds: one journal, or, where a repair was killed as well, one
// behind the other.
//
// A torn journal: its edit was not begun. The file is as before, or as after: it is whole.
// The file holds the new bytes up to a block's edge and the old ones from there, which is what a
// killed write leaves: the edit is finished, and what somebody appended since stays behind it.
// Anything else is somebody's own version, newer than ours: it is left alone, because a file that
// an administrator has looked at and saved is never worth less than our line.
[[nodiscard]] std::optional<std::string> recover(std::string_view journal,
                                                 std::string_view current);

// How many bytes of the journal file are whole journals: where the next one goes.
[[nodiscard]] std::size_t journals_size(std::string_view journal);

// ---- Launcher to editor: a sealed memfd of fixed-size records -----------------------------------

struct HostsDenyBatch {
  std::string line;  // KILL_HOSTS_DENY
  std::vector<HostsDenyChange> changes;
};
// At most kMaxHostsDenyBatch changes; none at all only recovers.
Result<UniqueFd> hosts_deny_batch(const HostsDenyBatch& batch);
// Strict: exact size, every field in range, or nothing.
[[nodiscard]] std::optional<HostsDenyBatch> read_hosts_deny_batch(Bytes bytes);
[[nodiscard]] std::string encode_hosts_deny_batch(const HostsDenyBatch& batch);

// ---- The editor process (hosts_deny_main.cc) ---------------------------------------------------

// `portsentryd --hosts-deny`: the batch on descriptor 3. Ends 0 when every change is in the file
// and on the disk, kEditorErrno + errno when a file could not be opened, read or written, else
// another ExitCode (log.h), having said why on standard error.
int run_hosts_deny();
inline constexpr int kEditorErrno = 100;

inline constexpr char kHostsDenyFile[] = "/etc/hosts.deny";
inline constexpr char kHostsDenyJournal[] = "/var/lib/portsentry/hosts_deny.journal";

}  // namespace portsentry::enforcer
