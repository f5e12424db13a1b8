#include "sensor/evidence.h"

#include <algorithm>
#include <bit>
#include <optional>

namespace portsentry::sensor {
namespace {

// Silent sources forgotten per touch: more than can arrive, so that they never pile up.
constexpr int kForgetPerTouch = 2;

constexpr std::uint32_t code_of(Protocol protocol, Port port) {
  return (static_cast<std::uint32_t>(protocol) << 16U) | port.number();
}

}  // namespace

// ---- Lists and chains: indices into a vector, 0 ends them ---------------------------------------

template <class Node>
void EvidenceTable::insert(std::vector<Node>& nodes, Link Node::*link, List& list, Index index,
                           Index next) {
  const Index previous = next == 0 ? list.newest : (nodes[next].*link).older;
  nodes[index].*link = {.older = previous, .newer = next};
  (previous == 0 ? list.oldest : (nodes[previous].*link).newer) = index;
  (next == 0 ? list.newest : (nodes[next].*link).older) = index;
}

template <class Node>
void EvidenceTable::unlink(std::vector<Node>& nodes, Link Node::*link, List& list, Index index) {
  const Link here = nodes[index].*link;
  (here.older == 0 ? list.oldest : (nodes[here.older].*link).newer) = here.newer;
  (here.newer == 0 ? list.newest : (nodes[here.newer].*link).older) = here.older;
}

template <class Node>
void EvidenceTable::chain_out(std::vector<Node>& nodes, Index& bucket, Index index) {
  Index* at = &bucket;
  while (*at != index)
    at = &nodes[*at].next_in_bucket;
  *at = nodes[index].next_in_bucket;
}

// A place for `value`: one that was given back, else a new one. The caller keeps within the
// reserve.
template <class Node>
EvidenceTable::Index EvidenceTable::take(std::vector<Node>& nodes, Index& free, const Node& value) {
  if (free == 0) {
    nodes.push_back(value);
    return static_cast<Index>(nodes.size() - 1);
  }
  const Index index = free;
  free = nodes[index].next_in_bucket;
  nodes[index] = value;
  return index;
}

// ---- Construction and lookup --------------------------------------------------------------------

EvidenceTable::EvidenceTable(const Settings& settings)
    : max_sources_(std::clamp(settings.max_sources, kMinSources, kMaxSources)),
      max_strong_(max_sources_ - max_sources_ / 8),
      // More than one source can fill, even in the half that is not kept for reaching the trigger:
      // so there is always another source that can give way.
      max_extra_(max_sources_ + 2 * kMaxTrigger),
      enough_(settings.enough),
      window_(settings.window),
      seed_(settings.seed),
      // Powers of two: a mask picks the bucket.
      suspect_buckets_(std::bit_floor(std::size_t{max_sources_})),
      touch_buckets_(std::bit_floor(std::size_t{max_sources_} + max_extra_)) {
  const std::size_t max_touches = std::size_t{max_sources_} + max_extra_;
  suspects_.reserve(max_sources_ + std::size_t{1});
  touches_.reserve(max_touches + 1);
  // Place 0 stands for none; it is in no bucket and no list.
  suspects_.push_back({.source = Source::of(Address::v4(0, 0, 0, 0), false)});
  touches_.push_back({});
}

std::size_t EvidenceTable::bytes() const {
  return suspects_.capacity() * sizeof(Suspect) + touches_.capacity() * sizeof(Touch) +
         (suspect_buckets_.size() + touch_buckets_.size()) * sizeof(Index) + sizeof(*this);
}

EvidenceTable::Index& EvidenceTable::bucket_of(const Source& source) {
  const AddressWords words = words_of(source.prefix().address());
  const std::uint64_t hash = keyed_hash(seed_, {words.high, words.low, source.prefix().length()});
  return suspect_buckets_[hash & (suspect_buckets_.size() - 1)];
}

EvidenceTable::Index& EvidenceTable::bucket_of(Index suspect, std::uint32_t what) {
  const std::uint64_t hash = keyed_hash(seed_, {(std::uint64_t{suspect} << 32U) | what});
  return touch_buckets_[hash & (touch_buckets_.size() - 1)];
}

EvidenceTable::Index EvidenceTable::lookup(const Source& source) {
  Index index = bucket_of(source);
  while (index != 0 && suspects_[index].source != source)
    index = suspects_[index].next_in_bucket;
  return index;
}

EvidenceTable::Index EvidenceTable::lookup(Index suspect, std::uint32_t what) {
  Index index = bucket_of(suspect, what);
  while (index != 0 && (touches_[index].suspect != suspect || touches_[index].what != what)) {
    index = touches_[index].next_in_bucket;
  }
  return index;
}

EvidenceTable::Reports* EvidenceTable::find(const Source& source) {
  const Index index = lookup(source);
  return index == 0 ? nullptr : &suspects_[index].reports;
}

std::uint32_t EvidenceTable::ports_of(const Source& source) {
  return suspects_[lookup(source)].count;  // of nobody: 0
}

bool EvidenceTable::told_of_many(const Source& source) {
  return suspects_[lookup(source)].reports.spread;  // of nobody: false
}

std::vector<EvidenceTable::Memory> EvidenceTable::newest(const Source& source, const Place& except,
                                                         std::size_t most, Clock::time_point now) {
  std::vector<Memory> found;
  const std::uint32_t skipped = code_of(except.protocol, except.port);
  for (Index index = suspects_[lookup(source)].touches.newest; index != 0 && found.size() < most;
       index = touches_[index].age.older) {
    const Touch& touch = touches_[index];
    if (now - touch.at > window_) break;
    if (touch.what == skipped) continue;
    if (const auto memory = memory_of(touch)) found.push_back(*memory);
  }
  return found;
}

// Nothing: never, the table holds what touch() and merge() were given.
std::optional<EvidenceTable::Memory> EvidenceTable::memory_of(const Touch& touch) {
  const auto port = Port::make(touch.what & 0xffffU);
  if (!port) return std::nullopt;
  const bool tcp = touch.what >> 16U == static_cast<std::uint32_t>(Protocol::tcp);
  return Memory{.protocol = tcp ? Protocol::tcp : Protocol::udp, .port = *port, .at = touch.at};
}

// ---- Remembering --------------------------------------------------------------------------------

EvidenceTable::Touched EvidenceTable::touch(const Source& source, Protocol protocol, Port port,
                                            Clock::time_point now) {
  std::uint32_t evicted = 0;
  forget_silent(now);
  Index suspect = lookup(source);
  if (suspect == 0) {
    if (size_ == max_sources_) {
      forget(weakest(1, 0));
      ++evicted;
    }
    suspect = admit(source, End::newest);
  }
  expire(suspect, now);

  const std::uint32_t before = suspects_[suspect].count;
  const std::uint32_t what = code_of(protocol, port);
  const Index known = lookup(suspect, what);
  if (known != 0) {
    touches_[known].at = now;
    unlink(touches_, &Touch::age, suspects_[suspect].touches, known);
    append(touches_, &Touch::age, suspects_[suspect].touches, known);
  } else {
    if (!make_room_for_port(suspect, evicted)) drop(suspects_[suspect].touches.oldest);
    remember(suspect, what, now, End::newest);
  }

  Suspect& here = suspects_[suspect];
  move_to_level(suspect, here.count);  // now its newest
  unlink(suspects_, &Suspect::idle, idle_, suspect);
  append(suspects_, &Suspect::idle, idle_, suspect);
  return {.before = before,
          .distinct = here.count,
          .repeated = known != 0,
          .evicted = evicted,
          .reports = here.reports};
}

EvidenceTable::Index EvidenceTable::admit(const Source& source, End end) {
  const Index index = take(suspects_, free_suspect_, Suspect{.source = source});
  Index& bucket = bucket_of(source);
  suspects_[index].next_in_bucket = bucket;
  bucket = index;
  insert(suspects_, &Suspect::idle, idle_, index, end == End::newest ? 0 : idle_.oldest);
  append(suspects_, &Suspect::level, levels_[0], index);
  levels_in_use_[0] |= 1;
  ++crowd_[0];
  ++size_;
  return index;
}

bool EvidenceTable::make_room_for_port(Index suspect, std::uint32_t& evicted) {
  const std::uint32_t count = suspects_[suspect].count;
  if (count == 0) return true;  // one port per source has its place
  if (count >= kMaxTrigger) return false;
  // Beyond what the trigger needs, ports only make the report richer: half of the pool is not for
  // that.
  if (count >= enough_ && extra_ >= max_extra_ / 2) return false;
  const bool no_place = extra_ == max_extra_;
  const bool turns_strong = count == 1 && strong_ == max_strong_;
  if (no_place || turns_strong) {
    forget(weakest(2, suspect));
    ++evicted;
  }
  return true;
}

void EvidenceTable::remember(Index suspect, std::uint32_t what, Clock::time_point at, End end) {
  const Index index =
      take(touches_, free_touch_, Touch{.at = at, .suspect = suspect, .what = what});
  Index& bucket = bucket_of(suspect, what);
  touches_[index].next_in_bucket = bucket;
  bucket = index;
  place_by_age(index);
  move_to_level(suspect, suspects_[suspect].count + 1, end);
}

// Into its source's list. What just happened is the newest; what another table knew is mostly the
// oldest: one step either way.
void EvidenceTable::place_by_age(Index touch) {
  List& list = suspects_[touches_[touch].suspect].touches;
  const Clock::time_point at = touches_[touch].at;
  Index next = 0;
  if (list.newest != 0 && touches_[list.newest].at > at) {
    next = list.oldest;
    while (touches_[next].at <= at)
      next = touches_[next].age.newer;
  }
  insert(touches_, &Touch::age, list, touch, next);
}

// ---- Forgetting ---------------------------------------------------------------------------------

void EvidenceTable::drop(Index touch) {
  const Index suspect = touches_[touch].suspect;
  chain_out(touches_, bucket_of(suspect, touches_[touch].what), touch);
  unlink(touches_, &Touch::age, suspects_[suspect].touches, touch);
  touches_[touch].next_in_bucket = free_touch_;
  free_touch_ = touch;
  move_to_level(suspect, suspects_[suspect].count - 1);
}

void EvidenceTable::expire(Index suspect, Clock::time_point now) {
  const List& touches = suspects_[suspect].touches;
  while (touches.oldest != 0 && now - touches_[touches.oldest].at > window_)
    drop(touches.oldest);
}

void EvidenceTable::forget(Index suspect) {
  while (suspects_[suspect].touches.oldest != 0)
    drop(suspects_[suspect].touches.oldest);
  // At level 0 now, whatever it was.
  unlink(suspects_, &Suspect::level, levels_[0], suspect);
  if (levels_[0].oldest == 0) levels_in_use_[0] &= ~std::uint64_t{1};
  --crowd_[0];
  unlink(suspects_, &Suspect::idle, idle_, suspect);
  chain_out(suspects_, bucket_of(suspects_[suspect].source), suspect);
  suspects_[suspect].next_in_bucket = free_suspect_;
  free_suspect_ = suspect;
  --size_;
}

void EvidenceTable::forget_silent(Clock::time_point now) {
  for (int i = 0; i < kForgetPerTouch && idle_.oldest != 0; ++i) {
    const Index newest = suspects_[idle_.oldest].touches.newest;
    if (now - touches_[newest].at <= window_) return;
    forget(idle_.oldest);
  }
}

// ---- From one table to another ------------------------------------------------------------------

EvidenceTable::Cursor EvidenceTable::walk() const {
  Cursor cursor;
  cursor.suspect = idle_.newest;
  cursor.touch = suspects_[idle_.newest].touches.newest;
  return cursor;
}

std::optional<EvidenceTable::Remembered> EvidenceTable::next(Cursor& cursor, std::size_t most,
                                                             Clock::time_point now) const {
  if (cursor.suspect == 0) return std::nullopt;
  const Suspect& suspect = suspects_[cursor.suspect];
  Remembered found{.source = suspect.source, .reported = suspect.reports.above, .touches = {}};
  for (; cursor.touch != 0 && found.touches.size() < most;
       cursor.touch = touches_[cursor.touch].age.older) {
    const Touch& touch = touches_[cursor.touch];
    const auto memory = memory_of(touch);
    if (!memory || now - touch.at > window_) break;
    found.touches.push_back(*memory);
  }
  // What follows an old one is older still.
  if (cursor.touch == 0 || now - touches_[cursor.touch].at > window_) {
    cursor.suspect = suspect.idle.older;
    cursor.touch = suspects_[cursor.suspect].touches.newest;
  }
  // Whoever was touched before this one was silent for a whole window, too.
  if (found.touches.empty()) return std::nullopt;
  return found;
}

EvidenceTable::Merged EvidenceTable::merge(const Remembered& other, Clock::time_point now) {
  Merged merged{.distinct = 0, .evicted = 0, .reports = nullptr};
  End end = End::newest;
  Index suspect = lookup(other.source);
  if (suspect == 0) {
    if (size_ == max_sources_) {
      const Index weak = weakest(1, 0);
      if (suspects_[weak].count >= other.touches.size()) return merged;
      forget(weak);
      ++merged.evicted;
    }
    end = End::oldest;
    suspect = admit(other.source, end);
  }
  expire(suspect, now);
  for (const Memory& memory : other.touches) {
    // A clock that two processes share still gives the later of two readings to either.
    if (now - memory.at <= window_ && memory.at <= now)
      merge_touch(suspect, memory, end, merged.evicted);
  }
  if (suspects_[suspect].count == 0) {
    forget(suspect);  // nothing of it was worth keeping
    return merged;
  }
  merged.distinct = suspects_[suspect].count;
  merged.reports = &suspects_[suspect].reports;
  return merged;
}

void EvidenceTable::merge_touch(Index suspect, const Memory& memory, End end,
                                std::uint32_t& evicted) {
  const std::uint32_t what = code_of(memory.protocol, memory.port);
  const Index known = lookup(suspect, what);
  if (known == 0) {
    if (make_room_for_port(suspect, evicted)) remember(suspect, what, memory.at, end);
    return;
  }
  if (touches_[known].at >= memory.at) return;
  unlink(touches_, &Touch::age, suspects_[suspect].touches, known);
  touches_[known].at = memory.at;
  place_by_age(known);
}

// ---- Levels: who has how much evidence ----------------------------------------------------------

void EvidenceTable::move_to_level(Index suspect, std::uint32_t count, End end) {
  Suspect& here = suspects_[suspect];
  const auto bit = [](std::uint32_t level) { return std::uint64_t{1} << (level % 64); };
  unlink(suspects_, &Suspect::level, levels_[here.count], suspect);
  if (levels_[here.count].oldest == 0) levels_in_use_[here.count / 64] &= ~bit(here.count);
  List& level = levels_[count];
  insert(suspects_, &Suspect::level, level, suspect, end == End::newest ? 0 : level.oldest);
  levels_in_use_[count / 64] |= bit(count);

  const auto extra_of = [](std::uint32_t ports) { return ports > 1 ? ports - 1 : 0; };
  extra_ = extra_ - extra_of(here.count) + extra_of(count);
  --crowd_[here.count];
  ++crowd_[count];
  if (here.count > 1) --strong_;
  if (count > 1) ++strong_;
  here.count = count;
}

EvidenceTable::Index EvidenceTable::longest_idle(std::size_t level, Index except) const {
  const Index index = levels_[level].oldest;
  return index == except ? suspects_[index].level.newer : index;
}

EvidenceTable::Index EvidenceTable::weakest(std::uint32_t lowest, Index except) const {
  for (std::size_t word = lowest / 64; word < levels_in_use_.size(); ++word) {
    std::uint64_t in_use = levels_in_use_[word];
    if (word == lowest / 64) in_use &= ~std::uint64_t{0} << (lowest % 64);
    for (; in_use != 0; in_use &= in_use - 1) {
      std::size_t level = word * 64 + static_cast<unsigned>(std::countr_zero(in_use));
      for (std::size_t other = level + 1; level >= 2 && other <= kFew; ++other) {
        if (crowd_[other] > crowd_[level]) level = other;
      }
      const Index index = longest_idle(level, except);
      if (index != 0) return index;
    }
  }
  return 0;  // never: the callers' limits leave somebody to give way
}

}  // namespace portsentry::sensor
