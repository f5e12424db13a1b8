// The first half of the store: everything that needs files, before the monitor is sealed. Whose file
// it is and in what state, what is done about that, and what people are told.
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <string_view>
#include <utility>

#include "common/unique_fd.h"
#include "monitor/store.h"
#include "monitor/store_events.h"
#include "monitor/store_log.h"
#include "monitor/store_read.h"
#include "monitor/store_schema.h"

namespace portsentry::monitor {
namespace {

// ---- What SQLite may still ask of the system once open() is done ----------------------------------

// In place of fstat(2), which a sealed monitor does not have: SQLite wants the size alone.
int size_alone(int fd, struct stat* status) {
  *status = {};
  status->st_size = ::lseek(fd, 0, SEEK_END);
  return status->st_size < 0 ? -1 : 0;
}

// Files are open by then. Should SQLite want another one after all, its call fails and becomes an
// error of flush(); the filter would kill the monitor for it.
int refuse() {
  errno = EACCES;
  return -1;
}
int refuse_open(const char*, int, int) {
  return refuse();
}
int refuse_access(const char*, int) {
  return refuse();
}
int refuse_stat(const char*, struct stat*) {
  return refuse();
}
int refuse_unlink(const char*) {
  return refuse();
}
// To make a new log's name durable; open() has done that itself.
int refuse_directory(const char*, int*) {
  return SQLITE_CANTOPEN;
}

void with_all_system_calls() {
  sqlite3_vfs* vfs = sqlite3_vfs_find(nullptr);
  vfs->xSetSystemCall(vfs, nullptr, nullptr);
}

void with_few_system_calls() {
  sqlite3_vfs* vfs = sqlite3_vfs_find(nullptr);
  const auto put = [vfs](const char* name, auto* function) {
    vfs->xSetSystemCall(vfs, name, reinterpret_cast<sqlite3_syscall_ptr>(function));
  };
  put("fstat", size_alone);
  put("open", refuse_open);
  put("access", refuse_access);
  put("stat", refuse_stat);
  put("unlink", refuse_unlink);
  put("openDirectory", refuse_directory);
}

// ---- Judging --------------------------------------------------------------------------------------

// Every number below kStateFile is taken meanwhile: SQLite's files get the numbers that the filter
// knows.
class LowNumbersTaken {
 public:
  LowNumbersTaken() {
    for (;;) {
      UniqueFd fd(::open("/dev/null", O_RDONLY | O_CLOEXEC));
      if (!fd || fd.get() >= kStateFile) return;
      taken_.push_back(std::move(fd));
    }
  }

 private:
  std::vector<UniqueFd> taken_;
};

// SQLite would follow a link that stands where it looks for a log, and wait for ever at a pipe.
Result<void> refuse_all_but_files(const std::string& path) {
  for (const char* suffix : {"", "-wal", "-journal"}) {
    const std::string name = path + suffix;
    struct stat status {};
    if (::lstat(name.c_str(), &status) == 0 && !S_ISREG(status.st_mode))
      return Error{"state: " + name + " is not a plain file"};
  }
  return {};
}

bool is_at(int fd, const std::string& path) {
  struct stat here {};
  struct stat there {};
  return ::fstat(fd, &here) == 0 && ::stat(path.c_str(), &there) == 0 &&
         here.st_dev == there.st_dev && here.st_ino == there.st_ino;
}

// Whatever else uses the file, it is not what we left there.
struct NotOurs {
  std::string why;       // for the finding
  std::string_view tag;  // for the name that it gets
};

// What the file is: of this version of its tables (0: of nobody's yet, without any), or not ours.
struct Content {
  int version = 0;
  std::optional<NotOurs> not_ours;
};

NotOurs damaged(std::string_view how) {
  return {"it is damaged (" + std::string(how) + ")", "damaged"};
}

// `error`, or what is wrong with the file itself.
Result<Content> judge(sqlite3* db, const Error& error) {
  const int code = sqlite3_errcode(db) & 0xff;
  if (code != SQLITE_CORRUPT && code != SQLITE_NOTADB) return error;
  return Content{0, damaged(sqlite3_errmsg(db))};
}

// For a connection that nobody shares.
Result<void> configure(sqlite3* db) {
  // Exclusive comes before WAL: the log's index is then this process's own memory, not a mapped
  // file.
  for (const char* pragma :
       {"PRAGMA locking_mode = EXCLUSIVE", "PRAGMA trusted_schema = OFF",
        "PRAGMA cell_size_check = ON", "PRAGMA temp_store = MEMORY", "PRAGMA mmap_size = 0",
        "PRAGMA cache_size = -1024", "PRAGMA journal_size_limit = 4194304"}) {
    if (auto set = execute(db, pragma); !set) return set;
  }
  return {};
}

// By its tables and what it says of itself; nothing: none of ours.
Result<std::optional<int>> version_of(sqlite3* db, std::string& said) {
  const auto version = ask(db, "SELECT value FROM meta WHERE key = 'schema'");
  if (!version) return std::optional<int>();  // no such table
  said = *version;
  for (const int known : {1, kSchemaVersion}) {
    if (*version != std::to_string(known)) continue;
    const auto same = has_schema(db, known);
    if (!same) return same.error();
    if (*same) return std::optional(known);
    said.clear();
  }
  return std::optional<int>();
}

Result<Content> judge_content(sqlite3* db) {
  const auto whole = ask(db, "PRAGMA quick_check(1)");
  if (!whole) return judge(db, whole.error());
  if (*whole != "ok") return Content{0, damaged(*whole)};

  const auto application = ask(db, "PRAGMA application_id");
  if (!application) return judge(db, application.error());
  const auto tables = ask(db, "SELECT count(*) FROM sqlite_schema");
  if (!tables) return judge(db, tables.error());
  if (*application == "0" && *tables == "0") return Content{};
  const NotOurs foreign{"it is no state of portsentryd's", "foreign"};
  if (*application != std::to_string(kApplicationId)) return Content{0, foreign};
  std::string said;
  const auto version = version_of(db, said);
  if (!version) return judge(db, version.error());
  if (*version) return Content{**version, std::nullopt};
  if (said.empty()) return Content{0, foreign};
  return Content{0,
                 NotOurs{"it is from another version of portsentryd (schema " + said.substr(0, 16) +
                             ", this one knows " + std::to_string(kSchemaVersion) + ")",
                         "other-version"}};
}

// ---- What is told and saved -------------------------------------------------------------------------

// The end of the log, before SQLite cuts off what it cannot read. Empty: nothing to say.
std::string judge_log(const std::string& path) {
  // Larger ones are rare (one transaction of that size), and judging is for people only.
  constexpr std::size_t kLargest = std::size_t{64} << 20U;
  const UniqueFd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW));
  struct stat status {};
  if (!fd || ::fstat(fd.get(), &status) != 0 || !S_ISREG(status.st_mode)) return {};
  if (status.st_size <= 0 || static_cast<std::uint64_t>(status.st_size) > kLargest) return {};
  std::vector<std::byte> bytes(static_cast<std::size_t>(status.st_size));
  std::size_t size = 0;
  while (size < bytes.size()) {
    const ssize_t got = ::read(fd.get(), bytes.data() + size, bytes.size() - size);
    if (got <= 0) break;
    size += static_cast<std::size_t>(got);
  }
  const LogReading log = read_log(std::span(bytes).first(size));
  if (log.lost == 0) return {};
  if (log.lost == 1) {
    return "state: the last entry of " + path +
           " is not whole: what was being remembered when the machine stopped is lost";
  }
  return "state: " + path + " is damaged: its last " + std::to_string(log.lost) + " entries of " +
         std::to_string(log.lost + log.commits) + " are lost";
}

struct Salvaged {
  Memory memory;
  std::string boot_id;  // empty: not readable
  [[nodiscard]] bool any() const { return memory != Memory{}; }
};

// From a damaged file: what is whole in it is worth more than nothing.
Salvaged salvage(sqlite3* db) {
  Salvaged saved;
  std::string said;
  const auto version = version_of(db, said);
  if (!version || !*version) return saved;
  auto read = read_memory(db, **version, Reading::salvage);
  if (!read) return saved;
  saved.memory = std::move(read->memory);
  if (auto boot = ask(db, "SELECT value FROM meta WHERE key = 'boot_id'")) saved.boot_id = *boot;
  return saved;
}

std::string counted(std::size_t count, std::string_view one, std::string_view many) {
  return std::to_string(count) + " " + std::string(count == 1 ? one : many);
}

std::string told(const Salvaged& saved) {
  if (!saved.any()) {
    return "starting with an empty one: bans that commands made before are not known";
  }
  const Memory& memory = saved.memory;
  return "starting with what could still be read: " + counted(memory.bans.size(), "ban", "bans") +
         ", " + counted(memory.offences.size(), "offence count", "offence counts") + ", " +
         counted(memory.allowed.size(), "allowed network", "allowed networks");
}

// Error: `to` and its companions stay as they are.
Result<void> move_aside(const std::string& from, const std::string& to) {
  // The log first: without it the file is an older, whole state; the log alone is nothing.
  for (const char* suffix : {"-wal", "-journal", ""}) {
    std::string before = from;
    std::string after = to;
    before += suffix;
    after += suffix;
    if (::rename(before.c_str(), after.c_str()) == 0 || errno == ENOENT) continue;
    const int why = errno;
    return Error::from_errno(before.insert(0, "rename ").append(" to ").append(after), why);
  }
  return {};
}

Result<void> make_durable(const std::string& directory) {
  const UniqueFd fd(::open(directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!fd || ::fsync(fd.get()) != 0)
    return Error::from_errno("state: " + directory + " cannot be written to disk", errno);
  return {};
}

}  // namespace

// The connection, as this process and no other uses it. Nothing is read yet.
Result<void> Store::connect(const std::string& path) {
  // SQLite gives the log the mode of the file, and the file the mode that it finds.
  if (!UniqueFd(::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600)))
    return Error::from_errno("state: open " + path, errno);
  sqlite3* db = nullptr;
  const int opened =
      sqlite3_open_v2(path.c_str(), &db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX, nullptr);
  db_.reset(db);
  if (opened != SQLITE_OK) return sqlite_error(db, "open " + path);
  sqlite3_db_config(db, SQLITE_DBCONFIG_DEFENSIVE, 1, nullptr);
  // Closing must not need more calls than writing does; the log is read at the next start.
  sqlite3_db_config(db, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, nullptr);
  // The seed of the log's salts, drawn while /dev/urandom can still be opened.
  int seed = 0;
  sqlite3_randomness(sizeof seed, &seed);
  return {};
}

// Makes the file ours and current. Returns what is to be told; an error ends the start.
Result<std::string> Store::begin(const std::string& boot_id, int version,
                                 const std::string& last_boot) {
  sqlite3* db = db_.get();
  std::string finding;
  const auto mode = ask(db, "PRAGMA journal_mode = WAL");
  if (!mode) return mode.error();
  if (*mode != "wal") return Error{"state: no write-ahead log, but " + *mode};
  if (auto set = execute(db, "PRAGMA synchronous = FULL"); !set) return set.error();
  version_ = version == 0 ? kSchemaVersion : version;
  if (version == 0) {
    const auto made = transaction(db, [&]() -> Result<void> {
      auto done = make_schema(db);
      if (done) done = put_meta(db, "boot_id", last_boot);
      return done;
    });
    if (!made) return made.error();
  }
  const auto before = ask(db, "SELECT value FROM meta WHERE key = 'boot_id'");
  if (!before) return before.error();
  boot_id_ = boot_id;
  new_boot_ = *before != boot_id;
  // A first write, to hear at once of a disk that takes none. What the file holds is worth having
  // all the same.
  const auto written = transaction(db, [&]() -> Result<void> {
    Result<void> done;
    if (version_ == 1) done = migrate_from_1(db);
    if (done) done = put_meta(db, "opened", std::to_string(std::time(nullptr)));
    return done;
  });
  if (written) {
    version_ = kSchemaVersion;
  } else {
    if ((sqlite3_errcode(db) & 0xff) == SQLITE_BUSY) return written.error();
    finding = written.error().what + ": nothing new is remembered until that ends";
  }
  if (version_ == kSchemaVersion) {
    const auto last = last_event(db);
    if (!last) return last.error();
    last_event_ = *last;
  }
  return finding;
}

void Store::note_all(const Memory& memory) {
  for (const StoredBan& ban : memory.bans)
    note(PutBan{ban});
  for (const Offence& offence : memory.offences)
    note(PutOffence{offence});
  for (const Allowed& allowed : memory.allowed)
    note(PutAllowed{allowed});
  if (memory.override) note(SetOverride{memory.override});
  if (!memory.scores.empty()) note(PutScores{memory.scores});
}

Result<Store::Opened> Store::open(const std::string& directory, const std::string& boot_id) {
  with_all_system_calls();
  const std::string path = directory + "/" + kFileName;
  const LowNumbersTaken low_numbers;
  if (auto plain = refuse_all_but_files(path); !plain) return plain.error();
  std::string finding = judge_log(path + "-wal");
  Store store;
  Salvaged saved;
  int version = 0;
  for (int attempt = 0;; ++attempt) {
    if (auto connected = store.connect(path); !connected) return connected.error();
    sqlite3* db = store.db_.get();
    const auto configured = configure(db);
    const auto content = configured ? judge_content(db) : judge(db, configured.error());
    if (!content) return content.error();
    version = content->version;
    if (!content->not_ours) break;
    const NotOurs& not_ours = *content->not_ours;
    if (attempt > 0) return Error{"state: " + path + ": " + not_ours.why};
    if (not_ours.tag == "damaged") saved = salvage(db);
    store.db_.reset();
    const std::string aside =
        path + "." + std::string(not_ours.tag) + "-" + std::to_string(std::time(nullptr));
    if (auto moved = move_aside(path, aside); !moved) return moved.error();
    finding = "state: ";
    finding.append(path).append(" cannot be used: ").append(not_ours.why);
    finding.append("; kept as ").append(aside).append(", ").append(told(saved));
  }

  // Where it is not known in which boot the saved bans were made, commands make theirs again: their
  // undo comes first, so that this does no harm.
  const auto begun = store.begin(boot_id, version, saved.any() ? saved.boot_id : boot_id);
  if (!begun) return begun.error();
  const auto add = [&finding](const std::string& more) {
    if (more.empty()) return;
    finding += (finding.empty() ? "" : "; ") + more;
  };
  add(*begun);
  store.note_all(saved.memory);
  while (store.unflushed() > 0) {
    const auto flushed = store.flush(std::time(nullptr));
    if (flushed) continue;
    add(flushed.error().what);
    break;
  }
  if (auto durable = make_durable(directory); !durable) return durable.error();
  if (!is_at(kStateFile, path) || !is_at(kStateLog, path + "-wal"))
    return Error{"state: descriptors 32 and 33 were taken by others"};
  with_few_system_calls();
  return Opened{std::move(store), std::move(finding)};
}

}  // namespace portsentry::monitor
