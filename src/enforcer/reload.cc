#include "enforcer/reload.h"

#include <utility>

namespace portsentry::enforcer {

GenerationReading Reload::begin() {
  requested_ = false;
  GenerationReading reading = reader_(last_number_ + 1, current_);
  if (!reading.generation) return reading;
  last_number_ += 1;
  offered_ = std::move(reading.generation);
  reading.generation.reset();
  state_ = State::offered;
  accepted_ = false;
  return reading;
}

bool Reload::new_watch() const {
  return offered_ && offered_->usable && offered_->orders != current_.orders;
}

bool Reload::accept(std::uint32_t number) {
  if (state_ != State::offered || offered_->number != number || !offered_->usable) return false;
  state_ = State::accepted;
  accepted_ = true;
  return true;
}

bool Reload::commit(std::uint32_t number) {
  if (!offered_ || offered_->number != number || !offered_->usable) return false;
  current_ = std::move(*offered_);
  offered_.reset();
  state_ = State::idle;
  return true;
}

void Reload::forget_texts() {
  for (Generation* g : {&current_, offered_ ? &*offered_ : nullptr}) {
    if (g == nullptr) continue;
    g->config_text.reset();
    g->ignore_text.reset();
  }
}

}  // namespace portsentry::enforcer
