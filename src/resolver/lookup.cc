#include "resolver/lookup.h"

#include <netdb.h>
#include <netinet/in.h>
#include <nss.h>
#include <resolv.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdlib>
#include <cstring>

#include "common/log.h"
#include "common/result.h"
#include "resolver/escape.h"

namespace portsentry::resolver {

void prepare_lookup() {
  // resolv.conf(5): overrides that file's own options of these names, also when it is read again.
  if (setenv("RES_OPTIONS", "timeout:1 attempts:1", 1) != 0)  // NOLINT: one thread
    fatal(Error::from_errno("setenv", errno).what);
  // With a choice of one's own libc leaves nscd alone, too, and does not read nsswitch.conf again.
  if (__nss_configure_lookup("hosts", "files dns") != 0)
    fatal(Error::from_errno("name service switch", errno).what);
  if (res_init() != 0) fatal("resolver: it cannot be initialised");
}

std::string host_name_of(const Address& address) {
  sockaddr_storage storage{};
  socklen_t size = 0;
  const Bytes bytes = address.bytes();
  if (address.is_v4()) {
    sockaddr_in in{};
    in.sin_family = AF_INET;
    std::memcpy(&in.sin_addr, bytes.data(), bytes.size());
    std::memcpy(&storage, &in, size = sizeof in);
  } else {
    sockaddr_in6 in{};  // without a scope: a zone is this host's own business
    in.sin6_family = AF_INET6;
    std::memcpy(&in.sin6_addr, bytes.data(), bytes.size());
    std::memcpy(&storage, &in, size = sizeof in);
  }
  std::array<char, NI_MAXHOST> name{};
  // NAMEREQD: without a name there shall be none, not the address over again.
  if (::getnameinfo(reinterpret_cast<const sockaddr*>(&storage), size, name.data(), name.size(),
                    nullptr, 0, NI_NAMEREQD) != 0) {
    return {};
  }
  return escape_host_name(std::string(name.begin(), std::find(name.begin(), name.end(), '\0')));
}

}  // namespace portsentry::resolver
