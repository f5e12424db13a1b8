// When to ask what the kernel holds, and what the answer means: the kernel is a cache of our table,
// and somebody may have changed it without a word that reached us. Pure.
//
// The sets are read while they live, so that an answer can be compared exactly only if nothing
// changed meanwhile, and for two seconds before, because the kernel ends what it holds up to a second
// after we do. Under a flood of changes it is compared roughly. A difference counts once it was seen
// twice in a row; then each element is listed by its name.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>

#include "common/messages.h"
#include "monitor/bans.h"
#include "monitor/now.h"

namespace portsentry::monitor {

class Reconcile {
 public:
  static constexpr std::chrono::seconds kEvery{60};
  static constexpr std::chrono::seconds kAfterWindow{1};  // a table was made, and restored
  static constexpr std::chrono::seconds kAgain{2};        // after a difference
  static constexpr std::chrono::seconds kCalm{2};
  static constexpr std::chrono::seconds kPatience{10};  // how long it waits for calm
  static constexpr std::chrono::seconds kLost{120};     // an answer that does not come
  static constexpr std::uint64_t kRough = 64;           // beside the changes that we know of

  // What we know at this moment.
  struct View {
    Bans::Native native;
    std::uint64_t changes;  // Bans::native_changes()
  };

  // A restore is over, or nothing makes bans in the kernel any more (`can` false).
  void restored(bool can, Now now);

  // The id of an Audit that is to be sent now; nothing: not yet.
  std::optional<std::uint64_t> begin(const View& view, Now now);
  [[nodiscard]] std::optional<Clock::time_point> next_due() const { return due_; }

  enum class Found : std::uint8_t {
    stale,  // the answer to a question that means nothing any more
    same,
    differs,  // once: look again soon
    drift,    // twice: list them all
  };
  // Nothing: it answers nothing that was asked.
  std::optional<Found> audited(const Audited& audited, const View& view, Now now);

  // Seen twice, and not mended yet.
  [[nodiscard]] bool drifted() const { return drifted_; }

 private:
  struct Asked {
    std::uint64_t id;
    std::uint64_t changes;  // from here on what changed may be in the answer or not
    bool calm;
  };
  std::optional<Clock::time_point> due_;
  std::optional<Clock::time_point> restless_since_;
  std::uint64_t last_changes_ = 0;
  Clock::time_point last_look_;
  std::optional<Asked> asked_;
  std::uint64_t next_id_ = 1;
  bool differed_ = false;
  bool drifted_ = false;
};

}  // namespace portsentry::monitor
