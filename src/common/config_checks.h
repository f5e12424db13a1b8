// What only a whole configuration shows: keys that contradict each other, settings that do nothing,
// and settings that are dangerous today. Pure.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "common/conf_lexer.h"
#include "common/config.h"
#include "common/finding.h"

namespace portsentry {

// Where the keys of a configuration stand, so that a finding can name the place.
class ConfigPlaces {
 public:
  // `entries`: those that count, with line 0 for what the command line set. `written_for_us`: the
  // file sets a key of portsentryd's own (config.h, read_config).
  ConfigPlaces(std::string_view file, std::span<const ConfEntry> entries, bool written_for_us)
      : file_(file), entries_(entries), written_for_us_(written_for_us) {}

  [[nodiscard]] bool sets(std::string_view key) const { return find(key) != nullptr; }
  [[nodiscard]] bool written_for_us() const { return written_for_us_; }
  // "line 4", "command line" or "by default".
  [[nodiscard]] std::string of(std::string_view key) const;
  // A finding at `key`; at the file as a whole where the key does not stand.
  [[nodiscard]] Finding about(Severity severity, std::string_view key, std::string text) const;

 private:
  [[nodiscard]] const ConfEntry* find(std::string_view key) const;
  std::string_view file_;
  std::span<const ConfEntry> entries_;
  bool written_for_us_;
};

// At most some twenty findings. To be asked only about values that were read without an error: what
// was not read has its default here.
std::vector<Finding> check_config(const Config& config, const ConfigPlaces& places);

}  // namespace portsentry
