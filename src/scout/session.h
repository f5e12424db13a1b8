// From where somebody has logged in: past a password or a key, not merely connected. Anybody can hold a
// connection open; only who may log in gets a record here. What the client chooses (the name of its
// host, for one) is not looked at. Pure.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

#include "common/bytes.h"
#include "common/net_types.h"

namespace portsentry::scout {

struct Session {
  Address address;         // routable unicast
  std::int64_t since = 0;  // Unix seconds, 0 where it is not known
};
inline constexpr std::size_t kMostSessions = 2048;

// utmp(5): records of USER_PROCESS with an address in ut_addr_v6, which the server that let them in
// took from the connection. ut_host may hold what the client's name server says, and is not read. A
// record that is cut short at the end is none.
[[nodiscard]] std::vector<Session> utmp_sessions(Bytes records);

// A file of /run/systemd/sessions, systemd-logind's: REMOTE=1, an address in REMOTE_HOST (a name is
// nobody's address), a class of a user's session, and not closing.
[[nodiscard]] std::optional<Session> logind_session(std::string_view text);

}  // namespace portsentry::scout
