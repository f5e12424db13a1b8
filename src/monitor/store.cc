#include "monitor/store.h"

#include <fcntl.h>
#include <sqlite3.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdio>
#include <string_view>
#include <utility>

#include "common/unique_fd.h"

namespace portsentry::monitor {
namespace {

// "psta": a file with another number is no state of ours, whatever its tables say.
constexpr int kApplicationId = 0x70737461;
constexpr char kSchemaVersion[] = "1";

// The file's whole schema, word for word: a file that holds anything else (a trigger, a view) is
// not read any further. Sources and addresses are text, so that sqlite3(1) shows what people type.
constexpr std::array kSchema{
    "CREATE TABLE meta(key TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT, WITHOUT ROWID",
    "CREATE TABLE bans("
    "source TEXT PRIMARY KEY, "    // 192.0.2.1, 2001:db8::/64
    "address TEXT NOT NULL, "      // the host inside it that was seen
    "protocol INTEGER NOT NULL, "  // 6, 17
    "port INTEGER NOT NULL, "      // 1..65535
    "backend INTEGER NOT NULL, "   // BanBackend
    "since INTEGER NOT NULL, "     // seconds since 1970
    "until INTEGER, "              // the same; NULL: without expiry
    "offences INTEGER NOT NULL"    // 1..
    ") STRICT, WITHOUT ROWID",
};

// ---- SQLite, with our ownership and our errors ---------------------------------------------------

struct Finalize {
  void operator()(sqlite3_stmt* statement) const { sqlite3_finalize(statement); }
};
using Statement = std::unique_ptr<sqlite3_stmt, Finalize>;

Error sqlite_error(sqlite3* db, const std::string& attempted) {
  return {"state: " + attempted + ": " + sqlite3_errmsg(db), sqlite3_system_errno(db)};
}

Result<void> execute(sqlite3* db, const std::string& sql) {
  if (sqlite3_exec(db, sql.c_str(), nullptr, nullptr, nullptr) == SQLITE_OK) return {};
  return sqlite_error(db, sql.substr(0, sql.find('(')));
}

Result<Statement> prepare(sqlite3* db, std::string_view sql) {
  sqlite3_stmt* statement = nullptr;
  if (sqlite3_prepare_v2(db, sql.data(), static_cast<int>(sql.size()), &statement, nullptr) !=
      SQLITE_OK) {
    return sqlite_error(db, std::string(sql.substr(0, sql.find('('))));
  }
  return Statement(statement);
}

void bind_text(const Statement& statement, int index, const std::string& text) {
  sqlite3_bind_text(statement.get(), index, text.data(), static_cast<int>(text.size()),
                    SQLITE_TRANSIENT);
}

std::string column_text(const Statement& statement, int index) {
  const unsigned char* text = sqlite3_column_text(statement.get(), index);
  const int size = sqlite3_column_bytes(statement.get(), index);
  if (text == nullptr) return {};
  return {reinterpret_cast<const char*>(text), static_cast<std::size_t>(size)};
}

// The first column of the first row; empty when there is none.
Result<std::string> ask(sqlite3* db, std::string_view sql) {
  const auto statement = prepare(db, sql);
  if (!statement) return statement.error();
  const int step = sqlite3_step(statement->get());
  if (step == SQLITE_ROW) return column_text(*statement, 0);
  if (step == SQLITE_DONE) return std::string();
  return sqlite_error(db, std::string(sql));
}

Result<void> put_meta(sqlite3* db, const std::string& key, const std::string& value) {
  const auto statement = prepare(db, "INSERT OR REPLACE INTO meta VALUES(?1, ?2)");
  if (!statement) return statement.error();
  bind_text(*statement, 1, key);
  bind_text(*statement, 2, value);
  if (sqlite3_step(statement->get()) != SQLITE_DONE) return sqlite_error(db, "remember " + key);
  return {};
}

// All of `changes` or nothing of it.
template <class Changes>
Result<void> transaction(sqlite3* db, Changes changes) {
  auto done = execute(db, "BEGIN IMMEDIATE");
  if (done) done = changes();
  if (done) done = execute(db, "COMMIT");
  // Some errors have rolled back by themselves; a second time is an error that means nothing.
  if (!done && sqlite3_get_autocommit(db) == 0) static_cast<void>(execute(db, "ROLLBACK"));
  return done;
}

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

// ---- Opening --------------------------------------------------------------------------------------

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

// `error`, or what is wrong with the file itself.
using Judgement = std::optional<NotOurs>;
Result<Judgement> judge(sqlite3* db, const Error& error) {
  const int code = sqlite3_errcode(db) & 0xff;
  if (code != SQLITE_CORRUPT && code != SQLITE_NOTADB) return error;
  return Judgement(NotOurs{std::string("it is damaged (") + sqlite3_errmsg(db) + ")", "damaged"});
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

// `begun`: a file of nobody's yet, without any table.
Result<Judgement> judge_content(sqlite3* db, bool& begun) {
  begun = false;
  const auto whole = ask(db, "PRAGMA quick_check(1)");
  if (!whole) return judge(db, whole.error());
  if (*whole != "ok") return Judgement(NotOurs{"it is damaged (" + *whole + ")", "damaged"});

  const auto tables = prepare(db, "SELECT sql FROM sqlite_schema ORDER BY rowid");
  if (!tables) return judge(db, tables.error());
  std::vector<std::string> schema;
  int step = SQLITE_ROW;
  while ((step = sqlite3_step(tables->get())) == SQLITE_ROW && schema.size() <= kSchema.size())
    schema.push_back(column_text(*tables, 0));
  if (step != SQLITE_ROW && step != SQLITE_DONE) return judge(db, sqlite_error(db, "schema"));

  const auto application = ask(db, "PRAGMA application_id");
  if (!application) return judge(db, application.error());
  begun = schema.empty() && *application == "0";
  if (begun) return Judgement();
  const NotOurs foreign{"it is no state of portsentryd's", "foreign"};
  if (*application != std::to_string(kApplicationId)) return Judgement(foreign);
  const auto version = ask(db, "SELECT value FROM meta WHERE key = 'schema'");
  if (version && *version != kSchemaVersion) {
    return Judgement(NotOurs{"it is from another version of portsentryd (schema " +
                                 version->substr(0, 16) + ", this one knows " + kSchemaVersion +
                                 ")",
                             "other-version"});
  }
  if (!version || !std::equal(schema.begin(), schema.end(), kSchema.begin(), kSchema.end()))
    return Judgement(foreign);
  return Judgement();
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

std::optional<StoredBan> read_row(const Statement& row) {
  const std::string source_text = column_text(row, 0);
  const auto prefix = Prefix::parse(source_text);
  const auto source =
      prefix ? Source::from_prefix(prefix->address(), prefix->length()) : std::nullopt;
  const auto address = Address::parse(column_text(row, 1));
  const sqlite3_int64 protocol = sqlite3_column_int64(row.get(), 2);
  const sqlite3_int64 port_number = sqlite3_column_int64(row.get(), 3);
  const sqlite3_int64 backend = sqlite3_column_int64(row.get(), 4);
  const sqlite3_int64 since = sqlite3_column_int64(row.get(), 5);
  const bool ends = sqlite3_column_type(row.get(), 6) != SQLITE_NULL;
  const sqlite3_int64 until = sqlite3_column_int64(row.get(), 6);
  const sqlite3_int64 offences = sqlite3_column_int64(row.get(), 7);

  if (!source || source->text() != source_text || !address || !prefix->contains(*address))
    return std::nullopt;
  if (port_number < 1 || port_number > 65535 || since < 0 || (ends && until < since) ||
      offences < 1 || offences > 0xffffffff)
    return std::nullopt;
  if (protocol != static_cast<int>(Protocol::tcp) && protocol != static_cast<int>(Protocol::udp))
    return std::nullopt;
  if (backend != static_cast<int>(BanBackend::nftables) &&
      backend != static_cast<int>(BanBackend::command) &&
      backend != static_cast<int>(BanBackend::asked))
    return std::nullopt;
  const auto port = Port::make(static_cast<std::uint32_t>(port_number));
  if (!port) return std::nullopt;
  return StoredBan{.source = *source,
                   .address = *address,
                   .cause = {static_cast<Protocol>(protocol), *port},
                   .backend = static_cast<BanBackend>(backend),
                   .since = since,
                   .until = ends ? std::optional<std::time_t>(until) : std::nullopt,
                   .offences = static_cast<std::uint32_t>(offences)};
}

}  // namespace

void Store::Close::operator()(sqlite3* db) const {
  sqlite3_close(db);
}

Store::Store(Store&&) noexcept = default;
Store& Store::operator=(Store&&) noexcept = default;
Store::~Store() = default;

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

Result<Store::Opened> Store::open(const std::string& directory, const std::string& boot_id) {
  with_all_system_calls();
  const std::string path = directory + "/" + kFileName;
  const LowNumbersTaken low_numbers;
  std::string finding;
  Store store;
  bool begun = false;
  for (int attempt = 0;; ++attempt) {
    if (auto connected = store.connect(path); !connected) return connected.error();
    const auto configured = configure(store.db_.get());
    const auto judgement = configured ? judge_content(store.db_.get(), begun)
                                      : judge(store.db_.get(), configured.error());
    if (!judgement) return judgement.error();
    if (!judgement->has_value()) break;
    const NotOurs& not_ours = **judgement;
    if (attempt > 0) return Error{"state: " + path + ": " + not_ours.why};
    store.db_.reset();
    const std::string aside =
        path + "." + std::string(not_ours.tag) + "-" + std::to_string(std::time(nullptr));
    if (auto moved = move_aside(path, aside); !moved) return moved.error();
    finding = "state: ";
    finding.append(path).append(" cannot be used: ").append(not_ours.why);
    finding.append("; kept as ").append(aside);
    finding += ", starting with an empty one: bans that commands made before are not known";
  }

  sqlite3* db = store.db_.get();
  const auto mode = ask(db, "PRAGMA journal_mode = WAL");
  if (!mode) return mode.error();
  if (*mode != "wal") return Error{"state: " + path + ": no write-ahead log, but " + *mode};
  if (auto set = execute(db, "PRAGMA synchronous = FULL"); !set) return set.error();
  if (begun) {
    const auto made = transaction(db, [&]() -> Result<void> {
      auto done = execute(db, "PRAGMA application_id = " + std::to_string(kApplicationId));
      for (const char* table : kSchema)
        if (done) done = execute(db, table);
      if (done) done = put_meta(db, "schema", kSchemaVersion);
      if (done) done = put_meta(db, "boot_id", boot_id);
      return done;
    });
    if (!made) return made.error();
  }
  const auto last_boot = ask(db, "SELECT value FROM meta WHERE key = 'boot_id'");
  if (!last_boot) return last_boot.error();
  store.boot_id_ = boot_id;
  store.new_boot_ = *last_boot != boot_id;
  // A first write, to hear at once of a disk that takes none. What the file holds is worth having
  // all the same.
  if (const auto written = transaction(
          db, [&] { return put_meta(db, "opened", std::to_string(std::time(nullptr))); });
      !written) {
    if ((sqlite3_errcode(db) & 0xff) == SQLITE_BUSY) return written.error();
    finding += (finding.empty() ? "" : "; ") + written.error().what +
               ": nothing new is remembered until that ends";
  }
  if (auto durable = make_durable(directory); !durable) return durable.error();
  if (!is_at(kStateFile, path) || !is_at(kStateLog, path + "-wal"))
    return Error{"state: descriptors 32 and 33 were taken by others"};
  with_few_system_calls();
  return Opened{std::move(store), std::move(finding)};
}

Result<Store::Loaded> Store::load() {
  const auto rows = prepare(db_.get(),
                            "SELECT source, address, protocol, port, backend, since, until, "
                            "offences FROM bans");
  if (!rows) return rows.error();
  Loaded loaded;
  int step = SQLITE_ROW;
  while ((step = sqlite3_step(rows->get())) == SQLITE_ROW) {
    if (auto ban = read_row(*rows)) {
      loaded.memory.bans.push_back(*ban);
    } else {
      ++loaded.refused;
    }
  }
  if (step != SQLITE_DONE) return sqlite_error(db_.get(), "read bans");
  return loaded;
}

std::uint64_t Store::note(const StateChange& change) {
  if (const auto* put = std::get_if<PutBan>(&change))
    changes_.insert_or_assign(put->ban.source, put->ban);
  if (const auto* erase = std::get_if<EraseBan>(&change))
    changes_.insert_or_assign(erase->source, std::nullopt);
  if (std::holds_alternative<BootRestored>(change)) mark_boot_ = new_boot_;
  return ++noted_;
}

Result<void> Store::flush() {
  if (unflushed() == 0) {
    committed_ = noted_;
    return {};
  }
  auto written = transaction(db_.get(), [this] { return write_changes(); });
  if (!written) return written;
  changes_.clear();
  committed_ = noted_;
  if (mark_boot_) new_boot_ = false;
  mark_boot_ = false;
  return {};
}

Result<void> Store::write_changes() {
  const auto put =
      prepare(db_.get(), "INSERT OR REPLACE INTO bans VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)");
  if (!put) return put.error();
  const auto erase = prepare(db_.get(), "DELETE FROM bans WHERE source = ?1");
  if (!erase) return erase.error();
  for (const auto& [source, ban] : changes_) {
    const Statement& statement = ban ? *put : *erase;
    sqlite3_reset(statement.get());
    bind_text(statement, 1, source.text());
    if (ban) {
      bind_text(statement, 2, ban->address.text());
      sqlite3_bind_int64(statement.get(), 3, static_cast<int>(ban->cause.protocol));
      sqlite3_bind_int64(statement.get(), 4, ban->cause.port.number());
      sqlite3_bind_int64(statement.get(), 5, static_cast<int>(ban->backend));
      sqlite3_bind_int64(statement.get(), 6, ban->since);
      if (ban->until) {
        sqlite3_bind_int64(statement.get(), 7, *ban->until);
      } else {
        sqlite3_bind_null(statement.get(), 7);
      }
      sqlite3_bind_int64(statement.get(), 8, ban->offences);
    }
    if (sqlite3_step(statement.get()) != SQLITE_DONE)
      return sqlite_error(db_.get(), "write the ban of " + source.text());
  }
  return mark_boot_ ? put_meta(db_.get(), "boot_id", boot_id_) : Result<void>();
}

Result<std::string> current_boot_id() {
  const UniqueFd fd(::open("/proc/sys/kernel/random/boot_id", O_RDONLY | O_CLOEXEC));
  std::array<char, 64> text{};
  const ssize_t size = fd ? ::read(fd.get(), text.data(), text.size()) : -1;
  if (size < 0) return Error::from_errno("read /proc/sys/kernel/random/boot_id", errno);
  const std::string_view whole(text.data(), static_cast<std::size_t>(size));
  return std::string(whole.substr(0, whole.find('\n')));
}

}  // namespace portsentry::monitor
