#include "scout/look.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <memory>
#include <optional>
#include <string>

#include "scout/places.h"

namespace portsentry::scout {
namespace {

// A pipe or a device at a name of ours would make us wait, or act.
constexpr int kOpen = O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY;

// Up to kMostBytes of a regular file, its beginning or its end.
std::optional<std::string> read_some(const UniqueFd& file, bool tail) {
  struct stat status {};
  if (!file || ::fstat(file.get(), &status) != 0 || !S_ISREG(status.st_mode)) return std::nullopt;
  const auto size = static_cast<std::size_t>(std::max<off_t>(status.st_size, 0));
  const std::size_t wanted = std::min(size, kMostBytes);
  const std::size_t from = tail ? size - wanted : 0;
  std::string text(wanted, '\0');
  std::size_t got = 0;
  while (got < wanted) {
    const ssize_t n =
        ::pread(file.get(), text.data() + got, wanted - got, static_cast<off_t>(from + got));
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return std::nullopt;
    if (n == 0) break;  // it was cut meanwhile
    got += static_cast<std::size_t>(n);
  }
  text.resize(got);
  return text;
}

void read_directory(const Place& place, Snapshot& into, std::time_t now) {
  const auto close = [](DIR* directory) { ::closedir(directory); };
  const std::unique_ptr<DIR, decltype(close)> directory(
      ::opendir(std::string(place.directory).c_str()), close);
  if (!directory) return;
  std::size_t files = 0;
  // NOLINTNEXTLINE(concurrency-mt-unsafe): one thread
  for (const dirent* entry = ::readdir(directory.get()); entry != nullptr && files < kMostFiles;
       entry = ::readdir(directory.get())) {  // NOLINT(concurrency-mt-unsafe)
    const char* name = std::data(entry->d_name);
    if (!is_of(place, name)) continue;
    files += 1;
    const UniqueFd file(::openat(::dirfd(directory.get()), name, kOpen | O_NOFOLLOW));
    if (const auto text = read_some(file, place.tail)) into.add(place.where, *text, now);
  }
}

std::string path_of(const Place& place) {
  return std::string(place.directory) + "/" + std::string(place.prefix);
}

}  // namespace

Snapshot look(std::time_t now) {
  Snapshot snapshot;
  for (const Place& place : kPlaces) {
    if (!place.one) {
      read_directory(place, snapshot, now);
      continue;
    }
    // A link is followed: resolv.conf mostly is one.
    const UniqueFd file(::open(path_of(place).c_str(), kOpen));
    if (const auto text = read_some(file, place.tail)) snapshot.add(place.where, *text, now);
  }
  return snapshot;
}

Result<Watch> Watch::open() {
  UniqueFd inotify(::inotify_init1(IN_CLOEXEC | IN_NONBLOCK));
  if (!inotify) return Error::from_errno("inotify", errno);
  return Watch(std::move(inotify));
}

namespace {

// Where a directory is not there yet, the one in which it, or what leads to it, will be made.
void watch_directory(int inotify, std::string path, std::uint32_t events) {
  while (::inotify_add_watch(inotify, path.c_str(), events) < 0 && errno == ENOENT) {
    const std::size_t slash = path.rfind('/');
    if (slash == std::string::npos || slash == 0) return;
    path.resize(slash);
  }
}

}  // namespace

// One that is watched already stays so. What nothing tells of is looked at now and then anyway.
void Watch::follow() const {
  constexpr std::uint32_t kInDirectory =
      IN_CREATE | IN_DELETE | IN_MOVED_FROM | IN_MOVED_TO | IN_CLOSE_WRITE;
  constexpr std::uint32_t kOfFile = IN_MODIFY | IN_CLOSE_WRITE | IN_MOVE_SELF | IN_DELETE_SELF;
  for (const Place& place : kPlaces) {
    watch_directory(inotify_.get(), std::string(place.directory), kInDirectory | IN_ONLYDIR);
    if (place.one)
      static_cast<void>(::inotify_add_watch(inotify_.get(), path_of(place).c_str(), kOfFile));
  }
}

void Watch::drain() const {
  alignas(inotify_event) std::array<std::byte, 4096> events{};
  while (::read(inotify_.get(), events.data(), events.size()) > 0) {
  }
}

}  // namespace portsentry::scout
