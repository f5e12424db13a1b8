#include "monitor/score_book.h"

#include <algorithm>
#include <utility>

namespace portsentry::monitor {

void ScoreBook::add(const Evidence& evidence, std::time_t wall) {
  Score& score =
      scores_.try_emplace(evidence.source, Score{.source = evidence.source, .touches = {}})
          .first->second;
  score.reported = score.reported || evidence.reported;
  for (const Touch& touch : evidence.touches) {
    if (score.touches.size() == kMaxTouches) break;
    const auto at = std::max<std::time_t>(wall - touch.age.count(), 0);
    score.touches.push_back({.protocol = touch.protocol, .port = touch.port, .at = at});
  }
  if (scores_.size() < 2 * kMost) return;
  for (Score& strong : strongest()) {
    const Source source = strong.source;
    scores_.emplace(source, std::move(strong));
  }
}

std::vector<Score> ScoreBook::take() {
  return strongest();
}

// Leaves none behind.
std::vector<Score> ScoreBook::strongest() {
  std::vector<Score> all;
  all.reserve(scores_.size());
  for (auto& [source, score] : scores_)
    all.push_back(std::move(score));
  scores_.clear();
  std::ranges::stable_sort(
      all, [](const Score& a, const Score& b) { return a.touches.size() > b.touches.size(); });
  if (all.size() > kMost) all.erase(all.begin() + kMost, all.end());
  return all;
}

std::vector<Evidence> as_evidence(const std::vector<Score>& scores, std::time_t wall) {
  std::vector<Evidence> told;
  for (const Score& score : scores) {
    Evidence evidence{.source = score.source, .touches = {}, .reported = score.reported};
    for (const Score::Touched& touched : score.touches) {
      const std::chrono::seconds age(std::max<std::time_t>(wall - touched.at, 0));
      if (age > kMaxBan || evidence.touches.size() == kMaxTouches) continue;
      evidence.touches.push_back({.protocol = touched.protocol, .port = touched.port, .age = age});
    }
    if (!evidence.touches.empty()) told.push_back(std::move(evidence));
  }
  return told;
}

}  // namespace portsentry::monitor
