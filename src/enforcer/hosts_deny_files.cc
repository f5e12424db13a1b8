// The order that survives a kill anywhere: journal written and on the disk; file written; file on
// the disk; journal emptied. Every system call here has a row in hosts_deny_policy.cc.
#include "enforcer/hosts_deny_files.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>

#include "enforcer/root_files.h"

namespace portsentry::enforcer {
namespace {

constexpr std::size_t kMaxJournal = 4 * kMaxHostsDeny;

// Somebody else writing at the same moment costs a new attempt, not an endless race.
constexpr int kAttempts = 5;

Error failed(const char* what) {
  return Error::from_errno(what, errno);
}

Result<std::string> read_all(const UniqueFd& fd, std::size_t limit, const char* what) {
  std::string content;
  std::array<char, 16384> piece{};
  for (;;) {
    const ssize_t got =
        pread(fd.get(), piece.data(), piece.size(), static_cast<off_t>(content.size()));
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return failed(what);
    if (got == 0) return content;
    content.append(piece.data(), static_cast<std::size_t>(got));
    if (content.size() > limit) return Error::from_errno(what, EFBIG);
  }
}

bool write_at(const UniqueFd& fd, std::string_view bytes, std::size_t at) {
  while (!bytes.empty()) {
    const ssize_t done = pwrite(fd.get(), bytes.data(), bytes.size(), static_cast<off_t>(at));
    if (done < 0 && errno == EINTR) continue;
    if (done <= 0) return false;
    at += static_cast<std::size_t>(done);
    bytes.remove_prefix(static_cast<std::size_t>(done));
  }
  return true;
}

bool cut(const UniqueFd& fd, std::size_t size) {
  return ftruncate(fd.get(), static_cast<off_t>(size)) == 0;
}

Result<void> empty_journal(const UniqueFd& journal) {
  // On the disk too: an old journal that comes back with the power would meet a newer file.
  if (!cut(journal, 0) || fsync(journal.get()) != 0) return failed("hosts.deny journal: truncate");
  return {};
}

bool write_file(const UniqueFd& file, std::string_view before, std::string_view after) {
  const auto differ = std::mismatch(before.begin(), before.end(), after.begin(), after.end());
  const auto kept = static_cast<std::size_t>(differ.first - before.begin());
  // A full disk says so now, while nothing has been written. Where a file system cannot reserve,
  // the write below says it.
  if (after.size() > before.size() &&
      fallocate(file.get(), FALLOC_FL_KEEP_SIZE, static_cast<off_t>(before.size()),
                static_cast<off_t>(after.size() - before.size())) != 0 &&
      (errno == ENOSPC || errno == EDQUOT))
    return false;
  if (!write_at(file, after.substr(kept), kept)) return false;
  return after.size() >= before.size() || cut(file, after.size());
}

// Puts the file back as it was: its blocks are its own, so that a full disk is no obstacle.
bool put_back(const UniqueFd& file, std::string_view before) {
  return write_at(file, before, 0) && cut(file, before.size()) && fsync(file.get()) == 0;
}

enum class Step { done, changed_meanwhile };

// `before` becomes `after`, with a journal behind those of `at` bytes that are there.
Result<Step> replace(const HostsDenyFiles& files, std::size_t at, std::string_view before,
                     std::string_view after) {
  const std::string journal = make_journal(before, after);
  if (!cut(files.journal, at) || !write_at(files.journal, journal, at) ||
      fsync(files.journal.get()) != 0) {
    Error why = failed("hosts.deny journal: write");
    static_cast<void>(cut(files.journal, at));
    return why;
  }
  // The disk took its time: is what we are about to replace still what is there?
  const auto now = read_all(files.file, kMaxHostsDeny, "hosts.deny: read");
  if (!now) return now.error();
  if (*now != before) return Step::changed_meanwhile;
  if (!write_file(files.file, before, after)) {
    Error why = failed("hosts.deny: write");
    // A repair that fails leaves its journals: they are all that knows the whole content.
    if (put_back(files.file, before) && at == 0) static_cast<void>(empty_journal(files.journal));
    return why;
  }
  if (fsync(files.file.get()) != 0) return failed("hosts.deny: fsync");
  if (auto emptied = empty_journal(files.journal); !emptied) return emptied.error();
  return Step::done;
}

// An editor that replaces the file by rename takes the name away under us: what we wrote is then in
// a file that nobody reads.
Result<void> still_named(const UniqueFd& file) {
  struct stat status {};
  // fstat(3) would be newfstatat, which can also look at paths; the policy has the plain call.
  if (syscall(SYS_fstat, file.get(), &status) != 0) return failed("hosts.deny: fstat");
  if (status.st_nlink == 0) return Error::from_errno("hosts.deny was replaced meanwhile", ESTALE);
  return {};
}

}  // namespace

Result<HostsDenyFiles> open_hosts_deny(const std::string& file, const std::string& journal,
                                       bool create) {
  HostsDenyFiles files;
  auto opened = open_in_place(journal, 0600, true);
  if (!opened) return opened.error();
  files.journal = std::move(*opened);
  if (flock(files.journal.get(), LOCK_EX | LOCK_NB) != 0) return failed("hosts.deny journal: lock");
  opened = open_in_place(file, 0644, create);
  if (!opened && (create || opened.error().code != ENOENT)) return opened.error();
  if (opened) files.file = std::move(*opened);
  return files;
}

Result<void> apply_hosts_deny(const HostsDenyFiles& files, const HostsDenyBatch& batch) {
  if (!files.file) return empty_journal(files.journal);  // nothing to remove, nothing to repair
  for (int attempt = 0; attempt < kAttempts; ++attempt) {
    auto journal = read_all(files.journal, kMaxJournal, "hosts.deny journal: read");
    if (!journal && journal.error().code != EFBIG) return journal.error();
    const auto before = read_all(files.file, kMaxHostsDeny, "hosts.deny: read");
    if (!before) return before.error();

    if (const auto repaired = journal ? recover(*journal, *before) : std::nullopt) {
      const auto step = replace(files, journals_size(*journal), *before, *repaired);
      if (!step) return step.error();
      continue;
    }
    if (!journal || !journal->empty()) {
      if (auto emptied = empty_journal(files.journal); !emptied) return emptied;
    }
    const std::string after = edit_hosts_deny(*before, batch.changes, batch.line);
    if (after == *before) return still_named(files.file);
    const auto step = replace(files, 0, *before, after);
    if (!step) return step.error();
    if (*step == Step::done) return still_named(files.file);
  }
  return Error::from_errno("hosts.deny changes faster than it can be edited", EAGAIN);
}

}  // namespace portsentry::enforcer
