#include "enforcer/hosts_deny.h"

#include <algorithm>
#include <cstring>
#include <map>

#include "enforcer/root_files.h"

namespace portsentry::enforcer {
namespace {

constexpr std::string_view kMarker = "# portsentryd ";
// libwrap reads lines into a buffer of BUFSIZ bytes, and drops what does not fit.
constexpr std::size_t kMaxLine = 4096;

// The lines of a text, each with its newline; the last one may lack it.
std::vector<std::string_view> lines_of(std::string_view text) {
  std::vector<std::string_view> lines;
  while (!text.empty()) {
    const std::size_t newline = text.find('\n');
    const std::size_t size = newline == std::string_view::npos ? text.size() : newline + 1;
    lines.push_back(text.substr(0, size));
    text.remove_prefix(size);
  }
  return lines;
}

// Also without the '\r' that somebody's editor may have given to every line, ours included.
std::string_view without_newline(std::string_view line) {
  if (line.ends_with('\n')) line.remove_suffix(1);
  if (line.ends_with('\r')) line.remove_suffix(1);
  return line;
}

// The source that a marker of ours names; nothing when the line is no marker. Only the one spelling
// that we write counts: a comment of somebody's that begins alike is not ours.
std::optional<std::string_view> marked(std::string_view line) {
  line = without_newline(line);
  if (!line.starts_with(kMarker)) return std::nullopt;
  line.remove_prefix(kMarker.size());
  const auto prefix = Prefix::parse(line);
  if (!prefix || prefix->text() != line) return std::nullopt;
  return line;
}

// True when `line` is the entry that belongs under a marker of `source`: it names that client as a
// whole word. Somebody may have removed our entry and left the marker; then the line below it is
// theirs.
bool is_entry_of(std::string_view line, std::string_view target) {
  line = without_newline(line);
  if (line.starts_with('#')) return false;
  const auto edge = [](char c) { return c == ' ' || c == '\t' || c == ',' || c == ':'; };
  for (std::size_t at = line.find(target); at != std::string_view::npos;
       at = line.find(target, at + 1)) {
    const std::size_t end = at + target.size();
    if ((at == 0 || edge(line[at - 1])) && (end == line.size() || edge(line[end]))) return true;
  }
  return false;
}

std::string target_of(const Prefix& prefix) {
  if (prefix.address().is_v4()) return prefix.text();
  const std::string bracketed = "[" + prefix.address().text() + "]";
  return prefix.is_host() ? bracketed : bracketed + "/" + std::to_string(prefix.length());
}

std::string entry_for(const CommandValues& values, std::string_view line) {
  return std::string(kMarker) + values.source.text() + "\n" +
         substitute(line, hosts_deny_target(values.source), values) + "\n";
}

// What is left when the entry at lines[at] goes: its marker always, the line below it if ours.
std::size_t size_of_entry(std::span<const std::string_view> lines, std::size_t at,
                          std::string_view source) {
  const auto prefix = Prefix::parse(source);
  const bool whole =
      at + 1 < lines.size() && prefix && is_entry_of(lines[at + 1], target_of(*prefix));
  return whole ? 2 : 1;
}

// ---- Bytes of the journal and of the batch: host order, never leaves this machine ---------------

template <class T>
void put(std::string& out, const T& value) {
  static_assert(std::is_trivially_copyable_v<T>);
  std::array<char, sizeof(T)> bytes{};
  std::memcpy(bytes.data(), &value, sizeof(T));
  out.append(bytes.data(), bytes.size());
}

template <class T>
std::optional<T> get(std::string_view& in) {
  static_assert(std::is_trivially_copyable_v<T>);
  if (in.size() < sizeof(T)) return std::nullopt;
  T value{};
  std::memcpy(&value, in.data(), sizeof(T));
  in.remove_prefix(sizeof(T));
  return value;
}

// FNV-1a, 64 bits: against torn writes. Nobody but root can write the journal.
std::uint64_t checksum(std::string_view bytes) {
  std::uint64_t hash = 0xcbf29ce484222325ULL;
  for (const char c : bytes)
    hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001b3ULL;
  return hash;
}

struct JournalHeader {
  std::array<char, 8> magic{'p', 's', 'd', 'e', 'n', 'y', '0', '1'};
  std::uint64_t kept = 0;  // bytes at the beginning that stay
  std::uint64_t kept_checksum = 0;
  std::uint64_t before = 0;  // bytes after those, as they were
  std::uint64_t after = 0;   // and as they shall be
  std::uint64_t tails_checksum = 0;
};
static_assert(sizeof(JournalHeader) == 48);

struct Journal {
  JournalHeader header;
  std::string_view before;
  std::string_view after;
};

// Takes one journal from the front of `bytes`; nothing when what stands there is none, or torn.
std::optional<Journal> take_journal(std::string_view& bytes) {
  std::string_view rest = bytes;
  const auto header = get<JournalHeader>(rest);
  if (!header || header->magic != JournalHeader{}.magic || header->before > rest.size() ||
      header->after > rest.size() - header->before)
    return std::nullopt;
  const std::string_view tails = rest.substr(0, header->before + header->after);
  if (checksum(tails) != header->tails_checksum) return std::nullopt;
  bytes = rest.substr(tails.size());
  return Journal{*header, tails.substr(0, header->before), tails.substr(header->before)};
}

// A write ends early only where the kernel goes from one block to the next.
constexpr std::size_t kBlock = 512;

// `rest` begins with the first `written` bytes of `after`, and then with what they left of `before`.
bool was_written_up_to(std::size_t written, std::string_view rest, const Journal& journal) {
  if (!rest.starts_with(journal.after.substr(0, written))) return false;
  if (written >= journal.before.size()) return true;
  return rest.substr(written).starts_with(journal.before.substr(written));
}

// recover() for one journal.
std::optional<std::string> recover_by(const Journal& journal, std::string_view current) {
  if (current.size() < journal.header.kept ||
      checksum(current.substr(0, journal.header.kept)) != journal.header.kept_checksum)
    return std::nullopt;
  const std::string_view head = current.substr(0, journal.header.kept);
  const std::string_view rest = current.substr(head.size());
  const std::size_t before = journal.before.size();
  const std::size_t after = journal.after.size();
  const auto finished = [&](std::size_t used) {
    return std::string(head) + std::string(journal.after) + std::string(rest.substr(used));
  };
  if (was_written_up_to(after, rest, journal)) {
    // Written whole: only the end that is too much may still be there. Both tails differ in their
    // first byte, so that "not begun" looks like this only where nothing is to be written at all;
    // then the file is as before.
    if (before > after && after != 0) return finished(before);
    return std::nullopt;
  }
  // Written in part, up to the edge of a block; the furthest edge wins.
  for (std::size_t edge = (head.size() + after) / kBlock * kBlock; edge > head.size();
       edge -= kBlock) {
    const std::size_t written = edge - head.size();
    if (was_written_up_to(written, rest, journal)) return finished(std::max(written, before));
  }
  return std::nullopt;
}

struct BatchHeader {
  std::array<char, 8> magic{'p', 's', 'b', 'a', 't', 'c', 'h', '1'};
  std::uint32_t line_size = 0;
  std::uint32_t changes = 0;
};

struct BatchRecord {
  std::uint8_t op = 0;
  std::uint8_t family = 0;    // 4 or 6
  std::uint8_t length = 0;    // of the prefix
  std::uint8_t protocol = 0;  // 6 or 17; 0: not known
  std::uint16_t port = 0;     // 0: not known
  std::uint8_t mode = 0;      // WatchMode; 0: not known
  std::uint8_t zero = 0;
  std::array<std::byte, 16> address{};
};
static_assert(sizeof(BatchHeader) == 16 && sizeof(BatchRecord) == 24);

std::optional<HostsDenyChange> change_of(const BatchRecord& record) {
  if (record.op != 1 && record.op != 2) return std::nullopt;
  if (record.family != 4 && record.family != 6) return std::nullopt;
  if (record.mode > static_cast<std::uint8_t>(WatchMode::advanced) || record.zero != 0)
    return std::nullopt;
  if (record.mode == 0 ? record.protocol != 0 : record.protocol != 6 && record.protocol != 17)
    return std::nullopt;
  const auto address =
      Address::from_bytes(Bytes(record.address).first(record.family == 4 ? 4 : 16));
  if (!address || address->is_v4() != (record.family == 4)) return std::nullopt;
  const auto unused = std::span(record.address).subspan(address->bytes().size());
  const auto source = Source::from_prefix(*address, record.length);
  if (!source || std::ranges::any_of(unused, [](std::byte b) { return b != std::byte{}; }))
    return std::nullopt;
  HostsDenyChange change{.op = HostsDenyChange::Op{record.op},
                         .values = {.source = *source, .port = {}, .mode = {}}};
  if (record.port != 0) change.values.port = Port::make(record.port);
  if (record.mode != 0)
    change.values.mode = ModeWord{Protocol{record.protocol}, WatchMode{record.mode}};
  return change;
}

}  // namespace

std::string hosts_deny_line_fault(std::string_view line) {
  if (!has_token(line, kTargetToken))
    return "No target variable specified: without $TARGET$ it cannot know whom to deny";
  if (line.size() > kMaxLine / 2)
    return "is longer than " + std::to_string(kMaxLine / 2) + " bytes";
  if (line.find_first_of("\n\r") != std::string_view::npos ||
      line.find('\0') != std::string_view::npos)
    return "must be one line";
  const std::size_t first = line.find_first_not_of(" \t");
  if (line[first] == '#') return "is a comment: it would deny nobody";
  const std::size_t colon = line.find(':');
  if (colon == std::string_view::npos || colon > line.find(kTargetToken))
    return "must look like \"ALL: $TARGET$\": services, a colon, clients";
  if (line.ends_with('\\')) return "ends in a backslash, which would swallow the line below it";
  return {};
}

std::string hosts_deny_target(const Source& source) {
  return target_of(source.prefix());
}

std::string edit_hosts_deny(std::string_view text, std::span<const HostsDenyChange> changes,
                            std::string_view line) {
  // By the source's text. In order of the first mention, so that equal input gives equal output.
  std::map<std::string, const HostsDenyChange*, std::less<>> wanted;
  std::vector<std::string> order;
  for (const HostsDenyChange& change : changes) {
    std::string source = change.values.source.text();
    if (!wanted.contains(source)) order.push_back(source);
    wanted[std::move(source)] = &change;
  }

  const std::vector<std::string_view> lines = lines_of(text);
  std::string out;
  std::map<std::string, bool, std::less<>> there;
  for (std::size_t i = 0; i < lines.size();) {
    const auto source = marked(lines[i]);
    const auto change = source ? wanted.find(*source) : wanted.end();
    if (change == wanted.end()) {
      out += lines[i++];
      continue;
    }
    const std::size_t size = size_of_entry(std::span(lines), i, *source);
    std::string entry;
    for (std::size_t k = 0; k < size; ++k)
      entry += lines[i + k];
    // Exactly what would be added, and once: it stays where it is.
    if (change->second->op == HostsDenyChange::Op::add && !there[change->first] &&
        entry == entry_for(change->second->values, line)) {
      there[change->first] = true;
      out += entry;
    }
    i += size;
  }
  for (const std::string& source : order) {
    const HostsDenyChange& change = *wanted[source];
    if (change.op == HostsDenyChange::Op::remove || there[source]) continue;
    if (!out.empty() && out.back() != '\n') out += '\n';
    // A line that goes on in the next one must not go on in ours.
    if (out.ends_with("\\\n")) out += '\n';
    out += entry_for(change.values, line);
  }
  return out;
}

std::string make_journal(std::string_view before, std::string_view after) {
  const auto differ = std::mismatch(before.begin(), before.end(), after.begin(), after.end());
  const auto kept = static_cast<std::size_t>(differ.first - before.begin());
  std::string tails(before.substr(kept));
  tails += after.substr(kept);
  JournalHeader header;
  header.kept = kept;
  header.kept_checksum = checksum(before.substr(0, kept));
  header.before = before.size() - kept;
  header.after = after.size() - kept;
  header.tails_checksum = checksum(tails);
  std::string journal;
  put(journal, header);
  return journal + tails;
}

std::size_t journals_size(std::string_view bytes) {
  std::string_view rest = bytes;
  while (take_journal(rest))
    continue;
  return bytes.size() - rest.size();
}

std::optional<std::string> recover(std::string_view bytes, std::string_view current) {
  std::vector<Journal> journals;
  while (const auto journal = take_journal(bytes))
    journals.push_back(*journal);
  // The last that knows this state: a repair that was itself killed has its journal behind the
  // journal of what it repairs.
  for (auto journal = journals.rbegin(); journal != journals.rend(); ++journal) {
    if (auto content = recover_by(*journal, current)) return content;
  }
  return std::nullopt;
}

std::string encode_hosts_deny_batch(const HostsDenyBatch& batch) {
  std::string out;
  BatchHeader header;
  header.line_size = static_cast<std::uint32_t>(batch.line.size());
  header.changes = static_cast<std::uint32_t>(batch.changes.size());
  put(out, header);
  out += batch.line;
  for (const HostsDenyChange& change : batch.changes) {
    const Prefix& prefix = change.values.source.prefix();
    BatchRecord record;
    record.op = static_cast<std::uint8_t>(change.op);
    record.family = prefix.address().is_v4() ? 4 : 6;
    record.length = static_cast<std::uint8_t>(prefix.length());
    if (const auto& mode = change.values.mode; mode && mode->mode != WatchMode::none) {
      record.protocol = static_cast<std::uint8_t>(mode->protocol);
      record.mode = static_cast<std::uint8_t>(mode->mode);
    }
    record.port = change.values.port ? change.values.port->number() : 0;
    std::ranges::copy(prefix.address().bytes(), record.address.begin());
    put(out, record);
  }
  return out;
}

std::optional<HostsDenyBatch> read_hosts_deny_batch(Bytes bytes) {
  std::string_view rest(reinterpret_cast<const char*>(bytes.data()), bytes.size());  // NOLINT
  const auto header = get<BatchHeader>(rest);
  if (!header || header->magic != BatchHeader{}.magic || header->line_size > kMaxTemplate ||
      header->changes > kMaxHostsDenyBatch ||
      rest.size() != header->line_size + header->changes * sizeof(BatchRecord))
    return std::nullopt;
  HostsDenyBatch batch;
  batch.line = std::string(rest.substr(0, header->line_size));
  rest.remove_prefix(header->line_size);
  while (const auto record = get<BatchRecord>(rest)) {
    const auto change = change_of(*record);
    if (!change) return std::nullopt;
    // Only an addition needs the line: bans end also after KILL_HOSTS_DENY was taken out.
    if (change->op == HostsDenyChange::Op::add && !hosts_deny_line_fault(batch.line).empty())
      return std::nullopt;
    batch.changes.push_back(*change);
  }
  return batch;
}

Result<UniqueFd> hosts_deny_batch(const HostsDenyBatch& batch) {
  const std::string bytes = encode_hosts_deny_batch(batch);
  return sealed_copy("hosts.deny changes", std::as_bytes(std::span(bytes)));
}

}  // namespace portsentry::enforcer
