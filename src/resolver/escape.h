// A host name that somebody else chose, as text that is safe in any log and on any terminal.
#pragma once

#include <string>
#include <string_view>

namespace portsentry::resolver {

// [A-Za-z0-9.-] as it is, every other byte as \DDD (three decimal digits, RFC 1035 5.1). Cut after
// at most kMaxHostName bytes, never inside an escape.
std::string escape_host_name(std::string_view name);

}  // namespace portsentry::resolver
