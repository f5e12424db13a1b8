// What SQLite's write-ahead log says of its own end (sqlite.org/fileformat2.html, section 4). SQLite
// itself reads it up to the first frame whose checksum is wrong and is silent about what follows:
// after a power cut that is half a transaction that nobody was promised, after damage to the disk it
// is bans that somebody was. This tells the one from the other.
#pragma once

#include <cstddef>
#include <span>

namespace portsentry::monitor {

struct LogReading {
  std::size_t commits = 0;  // transactions that are whole
  // Ends of transactions behind the first damage. One may be the one that a power cut interrupted;
  // each transaction is on the disk before the next is begun, so that two are damage.
  std::size_t lost = 0;
};
LogReading read_log(std::span<const std::byte> log);

}  // namespace portsentry::monitor
