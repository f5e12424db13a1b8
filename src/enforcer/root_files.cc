#include "enforcer/root_files.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

namespace portsentry::enforcer {
namespace {

constexpr unsigned kOutputMode = 0640;

// Why an object with this status cannot be trusted; empty when it can.
std::string distrust(const struct stat& status, bool group_may_write = false) {
  if (status.st_uid != 0)
    return "belongs to uid " + std::to_string(status.st_uid) + ", not to root";
  if ((status.st_mode & S_IWOTH) != 0) return "can be written by anybody";
  if ((status.st_mode & S_IWGRP) != 0 && status.st_gid != 0 && !group_may_write) {
    return "can be written by group " + std::to_string(status.st_gid);
  }
  return {};
}

Error untrusted(const std::string& path, const std::string& why) {
  return Error{path + " " + why, EPERM};
}

// The directory that holds the last part of `path`, reached one part at a time without following a
// link, each part judged by the descriptor that is then used: what was judged is what is opened.
Result<UniqueFd> open_trusted_parent(const std::string& path, bool group_may_write) {
  if (path.empty() || path.front() != '/')
    return Error{"\"" + path + "\" is not an absolute path", EINVAL};
  UniqueFd directory(open("/", O_PATH | O_DIRECTORY | O_CLOEXEC));
  if (!directory) return Error::from_errno("open /", errno);
  std::size_t start = 1;
  for (;;) {
    const std::size_t end = path.find('/', start);
    if (end == std::string::npos) return directory;
    const std::string part = path.substr(start, end - start);
    const std::string so_far = path.substr(0, end);
    start = end + 1;
    if (part.empty() || part == ".") continue;
    if (part == "..") return untrusted(path, "has \"..\" in it");
    UniqueFd next(openat(directory.get(), part.c_str(), O_PATH | O_NOFOLLOW | O_CLOEXEC));
    if (!next) return Error::from_errno("open " + so_far, errno);
    struct stat status {};
    if (fstat(next.get(), &status) != 0) return Error::from_errno("stat " + so_far, errno);
    if (S_ISLNK(status.st_mode)) return untrusted(so_far, "is a symbolic link; name the real path");
    if (!S_ISDIR(status.st_mode)) return Error{so_far + " is not a directory", ENOTDIR};
    if (const std::string why = distrust(status, group_may_write); !why.empty())
      return untrusted(so_far, why);
    directory = std::move(next);
  }
}

Result<UniqueFd> open_trusted(const std::string& path, int flags,
                              bool group_may_write_directories = false) {
  auto parent = open_trusted_parent(path, group_may_write_directories);
  if (!parent) return parent.error();
  const std::string name = path.substr(path.rfind('/') + 1);
  // O_NONBLOCK: a FIFO in this place must not make us wait for its other end.
  UniqueFd fd(openat(parent->get(), name.c_str(),
                     flags | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK | O_NOCTTY, kOutputMode));
  if (!fd && errno == ELOOP) return untrusted(path, "is a symbolic link; name the real path");
  if (!fd) return Error::from_errno("open " + path, errno);
  struct stat status {};
  if (fstat(fd.get(), &status) != 0) return Error::from_errno("stat " + path, errno);
  if (!S_ISREG(status.st_mode)) return Error{path + " is not a regular file", EINVAL};
  if (const std::string why = distrust(status); !why.empty()) return untrusted(path, why);
  return fd;
}

}  // namespace

Result<std::string> read_trusted(const std::string& path, std::size_t limit, bool strict) {
  UniqueFd fd;
  if (strict) {
    auto trusted = open_trusted(path, O_RDONLY);
    if (!trusted) return trusted.error();
    fd = std::move(*trusted);
  } else {
    fd = UniqueFd(open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY));
    if (!fd) return Error::from_errno("open " + path, errno);
  }
  std::string content;
  for (;;) {
    std::array<char, 16384> piece{};
    const ssize_t got = read(fd.get(), piece.data(), piece.size());
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return Error::from_errno("read " + path, errno);
    if (got == 0) return content;
    content.append(piece.data(), static_cast<std::size_t>(got));
    if (content.size() > limit) {
      return Error{path + " is larger than " + std::to_string(limit / 1024) + " KiB", EFBIG};
    }
  }
}

std::string distrust(const std::string& path) {
  const auto fd = open_trusted(path, O_RDONLY);
  return !fd && fd.error().code == EPERM ? fd.error().what : std::string();
}

Result<UniqueFd> open_append(const std::string& path, Output kind) {
  auto fd = open_trusted(path, O_WRONLY | O_APPEND | O_CREAT, kind == Output::log);
  if (!fd) return fd.error();
  struct stat status {};
  if (fstat(fd->get(), &status) != 0) return Error::from_errno("stat " + path, errno);
  if (status.st_nlink != 1) return untrusted(path, "has a second name (hard link)");
  // Without O_NONBLOCK from here on: it was for the open alone.
  if (fcntl(fd->get(), F_SETFL, O_APPEND) != 0) return Error::from_errno("fcntl " + path, errno);
  return fd;
}

Result<UniqueFd> open_in_place(const std::string& path, unsigned mode, bool create) {
  auto fd = open_trusted(path, O_RDWR);
  if (fd || fd.error().code != ENOENT || !create) return fd;
  fd = open_trusted(path, O_RDWR | O_CREAT | O_EXCL);
  // Whatever the umask was. Ours: just made.
  if (fd && fchmod(fd->get(), mode) != 0) return Error::from_errno("chmod " + path, errno);
  return fd;
}

Result<UniqueFd> sealed_copy(const char* name, Bytes content) {
  UniqueFd fd(memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING));
  if (!fd) return Error::from_errno("memfd_create", errno);
  for (std::size_t done = 0; done < content.size();) {
    const ssize_t written = write(fd.get(), content.data() + done, content.size() - done);
    if (written < 0 && errno == EINTR) continue;
    if (written <= 0) return Error::from_errno("write to memfd", errno);
    done += static_cast<std::size_t>(written);
  }
  if (fcntl(fd.get(), F_ADD_SEALS, F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE) != 0) {
    return Error::from_errno("seal memfd", errno);
  }
  return fd;
}

Result<void> make_directory(const std::string& path, unsigned mode, unsigned uid, unsigned gid) {
  if (mkdir(path.c_str(), mode) != 0 && errno != EEXIST)
    return Error::from_errno("mkdir " + path, errno);
  const auto open_it = [&](int how) {
    return UniqueFd(open(path.c_str(), how | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
  };
  UniqueFd fd = open_it(O_PATH);
  if (!fd) return Error::from_errno("open " + path, errno);
  struct stat status {};
  if (fstat(fd.get(), &status) != 0) return Error::from_errno("stat " + path, errno);
  // Only what differs is changed, and looked at without opening, so that a container without
  // CAP_CHOWN can prepare it, and one without CAP_DAC_READ_SEARCH start a second time.
  if (status.st_uid == uid && status.st_gid == gid && (status.st_mode & 07777) == mode) return {};
  fd = open_it(O_RDONLY);
  if (!fd || fstat(fd.get(), &status) != 0) return Error::from_errno("open " + path, errno);
  if ((status.st_uid != uid || status.st_gid != gid) && fchown(fd.get(), uid, gid) != 0) {
    return Error::from_errno("chown " + path, errno);
  }
  if ((status.st_mode & 07777) != mode && fchmod(fd.get(), mode) != 0)
    return Error::from_errno("chmod " + path, errno);
  return {};
}

Result<UniqueFd> make_control_socket(const std::string& path, bool for_groups) {
  UniqueFd fd(socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!fd) return Error::from_errno("socket(AF_UNIX)", errno);
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.size() >= sizeof(address.sun_path))
    return Error{path + " is too long for a socket", ENAMETOOLONG};
  std::memcpy(static_cast<char*>(address.sun_path), path.data(), path.size());
  // The instance lock is ours: whatever lies here was left by a dead instance.
  if (unlink(path.c_str()) != 0 && errno != ENOENT)
    return Error::from_errno("unlink " + path, errno);
  const mode_t old = umask(for_groups ? 0111 : 0177);
  const int bound =
      bind(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof(address));  // NOLINT
  const int why = errno;
  umask(old);
  if (bound != 0) return Error::from_errno("bind " + path, why);
  if (listen(fd.get(), 128) != 0) return Error::from_errno("listen " + path, errno);
  return fd;
}

}  // namespace portsentry::enforcer
