// The numbers of the sensor's descriptors: main.cc puts each where policy.cc lets it be used. Bound
// sockets have theirs from kFirstBound on (bound.h); whatever is not named here or there is
// /dev/null, so that nothing opened later gets a low number.
#pragma once

namespace portsentry::sensor {

inline constexpr int kChannel = 3;   // channel B
inline constexpr int kOrders = 4;    // root's orders; closed once read
inline constexpr int kFeed = 5;      // the kernel's traps, where they exist
inline constexpr int kSockDiag = 6;  // one exact question a packet
inline constexpr int kRtnetlink = 7;
inline constexpr int kSockDiagLists = 8;
inline constexpr int kEpoll = 9;  // over the bound sockets
inline constexpr int kNull = 10;  // /dev/null, of which all others are copies

// libpcap chooses the capture's numbers: the lowest that are free when it is opened, which are these.
// A power of two, and as many as it.
inline constexpr int kFirstCapture = 16;
inline constexpr int kCaptureEnd = 32;

}  // namespace portsentry::sensor
