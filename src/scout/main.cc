// portsentry-scout: reads the files of this host that say who must not be banned (places.h): its name
// servers, its DHCP server, and from where somebody has logged in. What stands in them was partly
// written by strangers (a DHCP server, a client that logs in): so this process is its own user, without
// any capability or socket, and all that anybody takes from it is addresses.
//
// Started by portsentryd with these descriptors: 0 and 1 /dev/null, 2 standard error, 3 channel S. Its
// death is harmless: what it told last stays true until the next one has looked.
#include <sys/stat.h>

#include <string>
#include <vector>

#include "common/channel.h"
#include "common/lockdown.h"
#include "common/log.h"
#include "scout/look.h"
#include "scout/places.h"
#include "scout/policy.h"
#include "scout/serve.h"

namespace portsentry::scout {
namespace {

constexpr int kChannelS = 3;
constexpr int kInotify = 4;

// Landlock grants what exists: a directory that comes later is seen by the next scout.
std::vector<LandlockPath> readable() {
  std::vector<LandlockPath> paths;
  for (const std::string_view directory : kReadable) {
    std::string path(directory);
    struct stat status {};
    if (::lstat(path.c_str(), &status) == 0 && S_ISDIR(status.st_mode))
      paths.push_back({std::move(path), false});
  }
  return paths;
}

int run() {
  set_log_name("portsentry-scout");
  if (!Channel::is_one(kChannelS)) fatal("is started by portsentryd, not by hand", kExitUsage);
  undumpable();
  const auto watch = Watch::open();
  if (!watch) fatal(watch.error().what);
  if (watch->fd() != kInotify) fatal("a descriptor is open that should not be");
  restrict_files(readable());
  drop_capabilities({});
  seal(kPolicy);
  Channel monitor{UniqueFd(kChannelS)};
  return serve(monitor, *watch);
}

}  // namespace
}  // namespace portsentry::scout

int main() {
  return portsentry::scout::run();
}
