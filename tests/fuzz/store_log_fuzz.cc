// The write-ahead log of the state file.
#include "fuzz.h"
#include "monitor/store_log.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using portsentry::fuzz::require;
  const auto bytes = portsentry::fuzz::as_bytes(data, size);
  const auto log = portsentry::monitor::read_log(bytes);
  require((log.commits + log.lost) * (24 + 512) <= size, "no more transactions than frames");
  // What is cut off can only take transactions away that were whole.
  if (size > 0) {
    const auto shorter = portsentry::monitor::read_log(bytes.first(size - 1));
    require(shorter.commits <= log.commits && shorter.lost <= log.lost, "a shorter log holds less");
  }
  return 0;
}
