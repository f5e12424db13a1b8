// The monitor's descriptors, by the numbers that policy.cc knows. All of them are taken before the
// process is sealed, those without a use by /dev/null: what arrives later (a control connection, a
// descriptor that came with a message) is given a greater number, and never one that means something.
#pragma once

namespace portsentry::monitor {

enum Descriptor : int {
  kNull = 0,
  kLog = 1,  // standard output
  kChannelA = 3,
  kConfig = 4,    // at birth; later the sealed memfd that is being read
  kIgnore = 5,    // at birth
  kChannelS = 5,  // afterwards
  kHistory = 6,
  kBlocked = 7,
  kControl = 8,
  kRtnetlink = 9,
  kChannelB = 10,
  kStop = 11,
  kSyslog = 12,
  kLogFile = 13,
  kChannelR = 14,
  kSuccessor = 15,     // channel B of the sensor that is to follow
  kFirstOutput = 16,   // what commands print
  kOutputs = 16,       // so many
  kFirstUnnamed = 32,  // 32 and 33 are taken by the store (store.h)
};

}  // namespace portsentry::monitor
