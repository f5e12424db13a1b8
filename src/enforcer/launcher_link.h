// Between the two halves of the root program: one fixed-size struct each way over a SEQPACKET pair.
// The launcher understands nothing else and hears nobody else. There is no pointer, no length and
// no text in it: the worst that a captured enforcer half can ask is written in LauncherOp.
#pragma once

#include <cstdint>
#include <type_traits>

namespace portsentry::enforcer {

enum class LauncherOp : std::uint32_t {
  spawn_sensor = 1,  // refused while one is running
  kill_sensor = 2,   // SIGKILL; answered by sensor_ended
  load_ruleset =
      3,  // run nft(8) on the text compiled into this binary; refused while one is running
};

struct LauncherRequest {
  LauncherOp op;
};

enum class LauncherEventKind : std::uint32_t {
  sensor_started = 1,  // with one descriptor: the monitor's end of channel B
  sensor_ended = 2,    // by_signal, code
  ruleset_loaded = 3,  // code: exit status of nft, 0 when the kernel took it
};

struct LauncherEvent {
  LauncherEventKind kind;
  std::uint32_t by_signal;  // 0 or 1
  std::int32_t code;        // signal number or exit status
};

static_assert(std::is_trivially_copyable_v<LauncherRequest> && sizeof(LauncherRequest) == 4);
static_assert(std::is_trivially_copyable_v<LauncherEvent> && sizeof(LauncherEvent) == 12);

}  // namespace portsentry::enforcer
