// One reading of the configuration with everything that root opens, checks and derives for it: made
// at start and again at each SIGHUP, and then in force as a whole or not at all.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "common/config.h"
#include "common/messages.h"
#include "common/result.h"
#include "common/unique_fd.h"
#include "common/watch.h"
#include "enforcer/commands.h"
#include "enforcer/roles.h"

namespace portsentry::enforcer {

// Where the configuration comes from, the same at each reading.
struct ConfigSource {
  std::string path;
  std::vector<ConfigOverride> overrides;  // of the command line: they count instead of the file
};

// The files that the monitor appends to.
struct Outputs {
  UniqueFd history;  // each append-only, or /dev/null where none is configured
  UniqueFd blocked;
  UniqueFd log_file;
};

struct Generation {
  std::uint32_t number = 1;  // of this run; each reload counts on
  // Root found no mistake in it. Another one is only shown to the monitor, which tells what is
  // wrong, and can never come into force.
  bool usable = false;
  Config config;
  UniqueFd config_text;  // sealed
  UniqueFd ignore_text;  // sealed; empty where there is no ignore list
  Outputs outputs;
  WatchOrders orders;
  UniqueFd orders_memory;           // sealed; what a sensor is born with
  Backend backend = Backend::none;  // what bans with it, once armed
  UniqueFd
      nft;  // the program; empty unless it is used, or where it is missing and nothing is armed
  std::optional<Account> resolver;  // who resolves names; nothing: nobody
  CommandTexts commands;            // without KILL_ROUTE unless that is what bans
};

// Something that root could not open, or does not accept.
struct Problem {
  ReloadProblem which;
  Error error;  // printable; code: errno or 0
};

struct GenerationReading {
  std::vector<Finding> findings;  // of the configuration's text
  // Without a generation: why there is none. With one: output files that are not what the
  // configuration says.
  std::vector<Problem> problems;
  std::vector<std::string> warnings;  // to be told, whatever becomes of it
  std::optional<Generation> generation;
};

// Reads and opens everything. `before`: the generation in force, for a reload. An output file that
// cannot be opened is the one that was there before; and a text with mistakes is read with the
// output and ignore files of before, so that the monitor can judge the whole.
GenerationReading read_generation(const ConfigSource& source, std::uint32_t number,
                                  const Generation* before);

// What bans are made with when this configuration is in force, and the daemon armed.
[[nodiscard]] Backend backend_of(const Config& config);

// The word of 1.2 for how `protocol` is watched, as $MODE$; nothing where it is not.
[[nodiscard]] std::optional<ModeWord> mode_of(const Config& config, Protocol protocol);

// Descriptors that a sensor with these orders needs: its own, and one for each bound socket.
[[nodiscard]] std::size_t sensor_descriptors(const WatchOrders& orders);
// Why `limit` descriptors (RLIMIT_NOFILE) are too few for these orders; empty when they are not.
[[nodiscard]] std::string too_many_ports(const WatchOrders& orders, std::size_t limit);
// RLIMIT_NOFILE's hard limit of this process.
[[nodiscard]] std::size_t descriptor_limit();

}  // namespace portsentry::enforcer
