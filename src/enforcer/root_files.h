// How root opens files that an administrator named: never through a link, never one that somebody
// else could have put there. What root reads, it reads once, into a sealed copy.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

#include "common/bytes.h"
#include "common/result.h"
#include "common/unique_fd.h"

namespace portsentry::enforcer {

// Reads a whole file. `strict`: the file and every directory above it belong to root, nobody else
// can write to them, and no part of the path is a symbolic link. Without it only reading is asked
// (-t).
Result<std::string> read_trusted(const std::string& path, std::size_t limit, bool strict);

// Why `read_trusted(..., true)` would refuse the file; empty when it would not.
std::string distrust(const std::string& path);

// For appending by another process: created if missing (mode 0640), same rules as strict reading,
// and the file itself must be a regular file with one name.
//
// `log`: the directories may be writable by a group, as /var/log is by group syslog on Ubuntu. Who
// is in that group can at worst have our lines end up in another log that root owns there, which
// such a person could remove just as well. For a file that is only ever appended to, never for one
// that is emptied or read.
enum class Output : std::uint8_t { record, log };
Result<UniqueFd> open_append(const std::string& path, Output kind = Output::record);

// For reading and writing in place, by the same rules. `create`: made empty with `mode` if missing
// (without it a missing file is an Error with code ENOENT).
Result<UniqueFd> open_in_place(const std::string& path, unsigned mode, bool create);

// A memfd of these bytes that nobody can change any more (F_SEAL_*), to hand to a child.
Result<UniqueFd> sealed_copy(const char* name, Bytes content);

// A directory of mode `mode` owned by the given ids; made if missing, refused if it is something
// else.
Result<void> make_directory(const std::string& path, unsigned mode, unsigned uid, unsigned gid);

// The listening control socket at `path`, replacing one that a dead instance left. For root alone
// (mode 0600) or, `for_groups`, for anybody to connect to (0666): one mode cannot name two groups, so
// it is the monitor that asks the kernel who connected, and closes strangers out.
Result<UniqueFd> make_control_socket(const std::string& path, bool for_groups);

}  // namespace portsentry::enforcer
