// The hosts.deny editor, read aloud. One batch, two files, no capability, then it ends.
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <string>

#include "common/lockdown.h"
#include "common/log.h"
#include "enforcer/hosts_deny_files.h"
#include "enforcer/hosts_deny_policy.h"

namespace portsentry::enforcer {
namespace {

// The largest batch: its header, a template, every change.
constexpr std::size_t kMaxBatchBytes = 64 + kMaxTemplate + kMaxHostsDenyBatch * 32;

// What the launcher sealed for us. Nothing when this is not its doing.
std::optional<HostsDenyBatch> inherited_batch() {
  constexpr int kSeals = F_SEAL_WRITE | F_SEAL_SHRINK | F_SEAL_GROW;
  const UniqueFd memory(kEditorBatch);
  const int seals = fcntl(memory.get(), F_GET_SEALS);
  if (seals < 0 || (seals & kSeals) != kSeals) return std::nullopt;
  std::string bytes(kMaxBatchBytes, '\0');
  const ssize_t size = pread(memory.get(), bytes.data(), bytes.size(), 0);
  if (size < 0) return std::nullopt;
  bytes.resize(static_cast<std::size_t>(size));
  return read_hosts_deny_batch(std::as_bytes(std::span(bytes)));
}

bool adds(const HostsDenyBatch& batch) {
  return std::any_of(batch.changes.begin(), batch.changes.end(),
                     [](const auto& c) { return c.op == HostsDenyChange::Op::add; });
}

int told(const Error& error) {
  complain(error.what);
  return error.code > 0 && error.code < 256 - kEditorErrno ? kEditorErrno + error.code
                                                           : kExitRuntime;
}

UniqueFd duplicate(int fd, int number) {
  UniqueFd made(dup3(fd, number, O_CLOEXEC));
  if (!made) fatal(Error::from_errno("dup3", errno).what);
  return made;
}

// Each becomes its number of hosts_deny_policy.h, by way of numbers above those: either may have
// been born as the other's.
HostsDenyFiles placed(HostsDenyFiles born) {
  constexpr int kAbove = kEditorJournal + 1;
  const UniqueFd file(born.file ? fcntl(born.file.get(), F_DUPFD_CLOEXEC, kAbove) : -1);
  const UniqueFd journal(fcntl(born.journal.get(), F_DUPFD_CLOEXEC, kAbove));
  if (!journal || (born.file && !file)) fatal(Error::from_errno("fcntl", errno).what);
  born.file.reset();
  born.journal.reset();
  HostsDenyFiles files;
  if (file) files.file = duplicate(file.get(), kEditorFile);
  files.journal = duplicate(journal.get(), kEditorJournal);
  return files;
}

}  // namespace

int run_hosts_deny() {
  set_log_name("portsentryd: hosts.deny");
  const auto batch = inherited_batch();
  if (!batch) fatal("--hosts-deny is for portsentryd itself, not for people", kExitUsage);

  auto opened = open_hosts_deny(kHostsDenyFile, kHostsDenyJournal, adds(*batch));
  if (!opened) return told(opened.error());
  const HostsDenyFiles files = placed(std::move(*opened));

  undumpable();
  restrict_files({});
  drop_capabilities({});
  seal(kHostsDenyPolicy);

  const auto applied = apply_hosts_deny(files, *batch);
  return applied ? kExitOk : told(applied.error());
}

}  // namespace portsentry::enforcer
