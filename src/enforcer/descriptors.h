// The enforcer half's descriptors, by number: roles.cc and launcher.cc put them there, policy.cc
// allows them by number, docs and tests name them.
#pragma once

namespace portsentry::enforcer {

inline constexpr int kChannelA = 3;      // to the monitor
inline constexpr int kLauncherLink = 4;  // to the other half
inline constexpr int kNftRequests = 5;   // netlink, nf_tables requests and their answers
inline constexpr int kNftEvents = 6;     // netlink, what others do to nf_tables
inline constexpr int kRoutes = 7;        // rtnetlink: addresses, routes, links
inline constexpr int kNftAudit = 8;      // netlink, listings of our sets
inline constexpr int kSessions = 9;      // netlink, sock_diag: whose connections are to be kept

}  // namespace portsentry::enforcer
