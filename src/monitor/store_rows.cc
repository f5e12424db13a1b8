#include "monitor/store_rows.h"

#include <algorithm>
#include <charconv>
#include <vector>

namespace portsentry::monitor {
namespace {

// ---- Values ---------------------------------------------------------------------------------------

// Of an enumeration whose numbers are 1..`last`.
template <class Enum>
std::optional<Enum> choice(std::int64_t number, Enum last) {
  if (number < 1 || number > static_cast<std::int64_t>(last)) return std::nullopt;
  return static_cast<Enum>(number);
}

std::optional<std::uint32_t> small(std::int64_t number) {
  if (number < 0 || number > 0xffffffff) return std::nullopt;
  return static_cast<std::uint32_t>(number);
}

bool possible(std::time_t time) {
  return time >= 0 && time <= kLatestTime;
}

std::optional<BanCause> cause_of(std::int64_t protocol, std::int64_t port) {
  const auto number = small(port);
  const auto valid = number ? Port::make(*number) : std::nullopt;
  if (!valid) return std::nullopt;
  if (protocol == static_cast<int>(Protocol::tcp)) return BanCause{Protocol::tcp, *valid};
  if (protocol == static_cast<int>(Protocol::udp)) return BanCause{Protocol::udp, *valid};
  return std::nullopt;
}

// Only as we write it: two spellings of one source would be two rows.
std::optional<Prefix> prefix_of(const std::string& text) {
  const auto prefix = Prefix::parse(text);
  return prefix && prefix->text() == text ? prefix : std::nullopt;
}

std::optional<Source> source_of(const std::string& text) {
  const auto prefix = prefix_of(text);
  return prefix ? Source::from_prefix(prefix->address(), prefix->length()) : std::nullopt;
}

std::optional<Address> address_in(const Source& source, const std::string& text) {
  const auto address = Address::parse(text);
  return address && source.prefix().contains(*address) ? address : std::nullopt;
}

// ---- Texts ----------------------------------------------------------------------------------------

// How many bytes the character at the beginning of `text` has; 0: it is none, or is not to be shown
// (RFC 3629 section 4; C0, DEL, C1, and what turns a line around or ends it: U+2028..U+202E,
// U+2066..U+2069).
std::size_t character(std::string_view text) {
  const auto byte = [&](std::size_t i) {
    return i < text.size() ? static_cast<unsigned char>(text[i]) : 0U;
  };
  const unsigned first = byte(0);
  if (first < 0x80) return first >= 0x20 && first != 0x7f ? 1 : 0;
  const std::size_t size = first >= 0xf0 ? 4 : first >= 0xe0 ? 3 : 2;
  if (first < 0xc2 || first > 0xf4) return 0;
  unsigned point = first & (0xffU >> (size + 1));
  for (std::size_t i = 1; i < size; ++i) {
    if ((byte(i) & 0xc0U) != 0x80) return 0;
    point = point << 6U | (byte(i) & 0x3fU);
  }
  const bool shortest =
      (size == 2) || (size == 3 && point >= 0x800) || (size == 4 && point >= 0x10000);
  const bool surrogate = point >= 0xd800 && point <= 0xdfff;
  const bool control =
      point < 0xa0 || (point >= 0x2028 && point <= 0x202e) || (point >= 0x2066 && point <= 0x2069);
  return shortest && !surrogate && !control && point <= 0x10ffff ? size : 0;
}

std::optional<std::string> text_of(const Statement& row, int index, std::size_t most) {
  std::string text = column_text(row, index);
  if (text.size() > most || one_line(text, most) != text) return std::nullopt;
  return text;
}

// ---- Scores ---------------------------------------------------------------------------------------

// A number up to `end`, which is taken off as well.
std::optional<std::int64_t> take_number(std::string_view& text, char end) {
  std::int64_t number = 0;
  const auto [last, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  const auto size = static_cast<std::size_t>(last - text.data());
  if (error != std::errc() || size >= text.size() || text[size] != end || number < 0)
    return std::nullopt;
  text.remove_prefix(size + 1);
  return number;
}

std::optional<std::vector<Score::Touched>> touches_of(std::string text) {
  std::vector<Score::Touched> touches;
  text += ' ';
  for (std::string_view rest = text; !rest.empty();) {
    const auto protocol = take_number(rest, '/');
    const auto port = protocol ? take_number(rest, '@') : std::nullopt;
    const auto at = port ? take_number(rest, ' ') : std::nullopt;
    const auto cause = at ? cause_of(*protocol, *port) : std::nullopt;
    if (!cause || !possible(*at) || touches.size() == kMaxTouches) return std::nullopt;
    touches.push_back({cause->protocol, cause->port, *at});
  }
  return touches;
}

std::string text_of(const std::vector<Score::Touched>& touches) {
  std::string text;
  for (const Score::Touched& touch : touches) {
    if (!text.empty()) text += ' ';
    text += std::to_string(static_cast<int>(touch.protocol)) + '/' +
            std::to_string(touch.port.number()) + '@' + std::to_string(touch.at);
  }
  return text;
}

}  // namespace

std::string one_line(std::string_view text, std::size_t most) {
  std::string line;
  while (!text.empty()) {
    const std::size_t size = character(text);
    if (line.size() + std::max<std::size_t>(size, 1) > most) break;
    line += size == 0 ? std::string_view("?") : text.substr(0, size);
    text.remove_prefix(std::max<std::size_t>(size, 1));
  }
  return line;
}

// ---- Reading --------------------------------------------------------------------------------------

std::optional<StoredBan> read_ban(const Statement& row) {
  const auto source = source_of(column_text(row, 0));
  const auto address = source ? address_in(*source, column_text(row, 1)) : std::nullopt;
  const auto cause = cause_of(column_number(row, 2), column_number(row, 3));
  const auto backend = choice(column_number(row, 4), BanBackend::asked);
  const auto origin = choice(column_number(row, 5), Origin::recovered);
  const auto proof = choice(column_number(row, 6), Proof::established);
  const std::time_t since = column_number(row, 7);
  const bool ends = !column_is_null(row, 8);
  const std::time_t until = column_number(row, 8);
  const auto offences = small(column_number(row, 9));
  auto note = text_of(row, 10, kMaxNote);
  if (!address || !cause || !backend || !origin || !proof || !offences || !note) return {};
  if (!possible(since) || (ends && (until < since || !possible(until)))) return {};
  return StoredBan{.source = *source,
                   .address = *address,
                   .cause = *cause,
                   .backend = *backend,
                   .origin = *origin,
                   .proof = *proof,
                   .since = since,
                   .until = ends ? std::optional(until) : std::nullopt,
                   .offences = *offences,
                   .note = std::move(*note)};
}

std::optional<Offence> read_offence(const Statement& row) {
  const auto source = source_of(column_text(row, 0));
  const auto count = small(column_number(row, 1));
  const std::time_t last_end = column_number(row, 2);
  if (!source || !count || !possible(last_end)) return {};
  return Offence{.source = *source, .count = *count, .last_end = last_end};
}

std::optional<Allowed> read_allowed(const Statement& row) {
  const auto prefix = prefix_of(column_text(row, 0));
  const std::time_t since = column_number(row, 1);
  const bool ends = !column_is_null(row, 2);
  const std::time_t until = column_number(row, 2);
  auto note = text_of(row, 3, kMaxNote);
  if (!prefix || !note || !possible(since) || (ends && (until < since || !possible(until))))
    return {};
  return Allowed{.prefix = *prefix,
                 .until = ends ? std::optional(until) : std::nullopt,
                 .since = since,
                 .note = std::move(*note)};
}

std::optional<Override> read_override(const Statement& row) {
  const auto mode = choice(column_number(row, 1), Override::Mode::observe);
  const std::time_t since = column_number(row, 2);
  const bool ends = !column_is_null(row, 3);
  const std::time_t confirm_by = column_number(row, 3);
  if (column_number(row, 0) != 1 || !mode || !possible(since) || (ends && !possible(confirm_by)))
    return {};
  return Override{
      .mode = *mode, .since = since, .confirm_by = ends ? std::optional(confirm_by) : std::nullopt};
}

std::optional<Score> read_score(const Statement& row) {
  const auto source = source_of(column_text(row, 0));
  const std::int64_t reported = column_number(row, 1);
  auto touches = touches_of(column_text(row, 2));
  if (!source || !touches || reported < 0 || reported > 1) return {};
  return Score{.source = *source, .touches = std::move(*touches), .reported = reported == 1};
}

std::optional<EventPage::Row> read_event(const Statement& row) {
  const std::int64_t id = column_number(row, 0);
  Event event{.at = column_number(row, 1), .kind = EventKind::detected};
  const auto kind = choice(column_number(row, 2), EventKind::drift);
  const auto ports = small(column_number(row, 9));
  auto detail = text_of(row, 11, kMaxDetail);
  if (id < 1 || static_cast<std::uint64_t>(id) > kLastEventId) return {};
  if (!possible(event.at) || !kind || !ports || !detail) return {};
  event.kind = *kind;
  event.ports = *ports;
  event.detail = std::move(*detail);
  if (!column_is_null(row, 3)) {
    event.source = source_of(column_text(row, 3));
    if (!event.source) return {};
  }
  if (!column_is_null(row, 4)) {
    if (event.source) event.address = address_in(*event.source, column_text(row, 4));
    if (!event.address) return {};
  }
  if (!column_is_null(row, 5) || !column_is_null(row, 6)) {
    event.cause = cause_of(column_number(row, 5), column_number(row, 6));
    if (!event.cause) return {};
  }
  if (!column_is_null(row, 7)) {
    event.scan = choice(column_number(row, 7), ScanKind::maimon);
    if (!event.scan) return {};
  }
  if (!column_is_null(row, 8)) {
    event.proof = choice(column_number(row, 8), Proof::established);
    if (!event.proof) return {};
  }
  if (!column_is_null(row, 10)) {
    event.until = column_number(row, 10);
    if (!possible(*event.until)) return {};
  }
  return EventPage::Row{static_cast<std::uint64_t>(id), std::move(event)};
}

// ---- Writing: what is read again must be possible, whatever the caller's clock said ----------------

namespace {

std::int64_t time(std::time_t time) {
  return std::clamp<std::time_t>(time, 0, kLatestTime);
}

// Not before `since`, which is possible already.
std::optional<std::int64_t> end(std::optional<std::time_t> until, std::int64_t since) {
  if (!until) return std::nullopt;
  return std::max(time(*until), since);
}

template <class Value>
std::optional<std::int64_t> number(const std::optional<Value>& value) {
  if (!value) return std::nullopt;
  return static_cast<std::int64_t>(*value);
}

}  // namespace

void bind_ban(const Statement& row, const StoredBan& ban) {
  bind_text(row, 1, ban.source.text());
  // A ban is worth more than who exactly led to it.
  const bool inside = ban.source.prefix().contains(ban.address);
  bind_text(row, 2, (inside ? ban.address : ban.source.prefix().address()).text());
  bind_number(row, 3, static_cast<int>(ban.cause.protocol));
  bind_number(row, 4, ban.cause.port.number());
  bind_number(row, 5, static_cast<int>(ban.backend));
  bind_number(row, 6, static_cast<int>(ban.origin));
  bind_number(row, 7, static_cast<int>(ban.proof));
  bind_number(row, 8, time(ban.since));
  bind_number(row, 9, end(ban.until, time(ban.since)));
  bind_number(row, 10, ban.offences);
  bind_text(row, 11, one_line(ban.note, kMaxNote));
}

void bind_offence(const Statement& row, const Offence& offence) {
  bind_text(row, 1, offence.source.text());
  bind_number(row, 2, offence.count);
  bind_number(row, 3, time(offence.last_end));
}

void bind_allowed(const Statement& row, const Allowed& allowed) {
  bind_text(row, 1, allowed.prefix.text());
  bind_number(row, 2, time(allowed.since));
  bind_number(row, 3, end(allowed.until, time(allowed.since)));
  bind_text(row, 4, one_line(allowed.note, kMaxNote));
}

void bind_override(const Statement& row, const Override& override) {
  bind_number(row, 1, 1);
  bind_number(row, 2, static_cast<int>(override.mode));
  bind_number(row, 3, time(override.since));
  bind_number(row, 4, end(override.confirm_by, 0));
}

void bind_score(const Statement& row, const Score& score) {
  bind_text(row, 1, score.source.text());
  bind_number(row, 2, score.reported ? 1 : 0);
  std::vector<Score::Touched> touches = score.touches;
  if (touches.size() > kMaxTouches) touches.erase(touches.begin() + kMaxTouches, touches.end());
  for (Score::Touched& touch : touches)
    touch.at = time(touch.at);
  bind_text(row, 3, text_of(touches));
}

void bind_event(const Statement& row, std::uint64_t id, const Event& event) {
  bind_number(row, 1, static_cast<std::int64_t>(id));
  bind_number(row, 2, time(event.at));
  bind_number(row, 3, static_cast<int>(event.kind));
  if (event.source) bind_text(row, 4, event.source->text());
  if (event.source && event.address && event.source->prefix().contains(*event.address))
    bind_text(row, 5, event.address->text());
  if (event.cause) {
    bind_number(row, 6, static_cast<int>(event.cause->protocol));
    bind_number(row, 7, event.cause->port.number());
  }
  bind_number(row, 8, number(event.scan));
  bind_number(row, 9, number(event.proof));
  bind_number(row, 10, event.ports);
  bind_number(row, 11, end(event.until, 0));
  bind_text(row, 12, one_line(event.detail, kMaxDetail));
}

}  // namespace portsentry::monitor
