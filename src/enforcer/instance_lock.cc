#include "enforcer/instance_lock.h"

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include <cerrno>
#include <cstddef>
#include <cstring>
#include <string_view>

#include "common/log.h"

namespace portsentry::enforcer {
namespace {

constexpr std::string_view kAbstractName = "portsentryd";

struct flock byte_at(off_t start, off_t length) {
  struct flock range {};
  range.l_type = F_WRLCK;
  range.l_whence = SEEK_SET;
  range.l_start = start;
  range.l_len = length;
  return range;
}

Error in_the_way(pid_t pid, std::string_view where) {
  // 0: the holder lives in another pid namespace, where we cannot name it.
  const std::string who =
      pid > 0 ? "pid " + std::to_string(pid) : "a process of another pid namespace";
  return Error{"portsentryd is already running " + std::string(where) + " (" + who + ")"};
}

// Nothing when the name is now ours, or held by somebody who is not root: any local user can take
// an abstract name, so such a holder is no instance of ours and must not be able to keep us from
// starting.
Result<UniqueFd> take_name(pid_t& in_our_way) {
  UniqueFd fd(socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0));
  if (!fd) return Error::from_errno("socket(AF_UNIX)", errno);
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::memcpy(&address.sun_path[1], kAbstractName.data(), kAbstractName.size());
  const auto size =
      static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + 1 + kAbstractName.size());
  const auto* generic =
      reinterpret_cast<const sockaddr*>(&address);  // NOLINT: the socket API's own cast
  if (bind(fd.get(), generic, size) == 0) {
    // Nobody accepts: each refused start leaves one entry in the queue, which is why it is long.
    if (listen(fd.get(), SOMAXCONN) != 0) return Error::from_errno("listen", errno);
    return fd;
  }
  if (errno != EADDRINUSE) return Error::from_errno("bind @portsentryd", errno);
  ucred holder{};
  socklen_t holder_size = sizeof(holder);
  const UniqueFd probe(socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (probe && connect(probe.get(), generic, size) == 0 &&
      getsockopt(probe.get(), SOL_SOCKET, SO_PEERCRED, &holder, &holder_size) == 0 &&
      holder.uid == 0) {
    in_our_way = holder.pid;
    return in_the_way(holder.pid, "in this network namespace");
  }
  // Anybody can fill the queue of one who is root, too: then nobody can say who it is.
  complain(
      "warning: the abstract socket name @portsentryd is held by a process that is not root, or "
      "cannot be asked");
  return UniqueFd();
}

}  // namespace

Result<InstanceLock> lock_instance(const std::string& directory, pid_t& in_our_way) {
  in_our_way = 0;
  if (mkdir(directory.c_str(), 0755) != 0 && errno != EEXIST)
    return Error::from_errno("mkdir " + directory, errno);
  struct stat status {};
  if (lstat(directory.c_str(), &status) != 0 || !S_ISDIR(status.st_mode) || status.st_uid != 0 ||
      (status.st_mode & 022) != 0) {
    return Error{directory + " is not a directory that only root can write to"};
  }
  const std::string path = directory + "/lock";
  InstanceLock lock;
  lock.file = UniqueFd(open(path.c_str(), O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600));
  if (!lock.file) return Error::from_errno("open " + path, errno);

  struct stat namespace_status {};
  if (stat("/proc/self/ns/net", &namespace_status) != 0)
    return Error::from_errno("stat /proc/self/ns/net", errno);
  const auto mine = static_cast<off_t>(namespace_status.st_ino);

  struct flock byte = byte_at(mine, 1);
  if (fcntl(lock.file.get(), F_SETLK, &byte) != 0) {
    if (errno != EAGAIN && errno != EACCES) return Error::from_errno("lock " + path, errno);
    struct flock holder = byte_at(mine, 1);
    if (fcntl(lock.file.get(), F_GETLK, &holder) != 0)
      return Error::from_errno("lock " + path, errno);
    in_our_way = holder.l_pid;
    return in_the_way(holder.l_pid, "in this network namespace");
  }
  // The control socket and the state directory have one name each: a neighbour namespace that
  // shares them would take them from under the other instance.
  struct flock anybody = byte_at(0, 0);
  if (fcntl(lock.file.get(), F_GETLK, &anybody) != 0)
    return Error::from_errno("lock " + path, errno);
  if (anybody.l_type != F_UNLCK) {
    return in_the_way(anybody.l_pid,
                      "in another network namespace with the same /run/portsentry; give each "
                      "instance its own /run and /var/lib (a private mount namespace)");
  }

  auto name = take_name(in_our_way);
  if (!name) return name.error();
  lock.name = std::move(*name);
  return lock;
}

}  // namespace portsentry::enforcer
