// Gates one and two of every channel: protobuf bytes to the structs of messages.h and back.
// Shape: the message parses, has exactly one arm, the expected number of descriptors, no unknown
// field. Values: addresses of 4 or 16 bytes in canonical form, ports 1..65535, enums by explicit
// switch, numbers in range. Whatever fails is `nothing`; the caller decides what that means for its
// peer. wire.cc (channels A, B, R), wire_control.cc (channel C) and what they share, wire_values.h, are
// the only files that see the generated protobuf headers.
#pragma once

#include <optional>
#include <vector>

#include "common/bytes.h"
#include "common/control_messages.h"
#include "common/messages.h"
#include "common/scout_messages.h"

namespace portsentry {

std::vector<std::byte> encode(const MonitorToEnforcer& message);
std::vector<std::byte> encode(const EnforcerToMonitor& message);
std::vector<std::byte> encode(const MonitorToSensor& message);
std::vector<std::byte> encode(const SensorToMonitor& message);
std::vector<std::byte> encode(const ControlRequest& message);
std::vector<std::byte> encode(const ControlReply& message);
// Whether that reply is within a message: a page must be, before it is encoded.
bool fits(const ControlReply& message);
std::vector<std::byte> encode(const MonitorToResolver& message);
std::vector<std::byte> encode(const ResolverToMonitor& message);
std::vector<std::byte> encode(const ScoutToMonitor& message);

// `descriptors` is how many came with the message (0 or 1); a verb that expects another number is
// refused.
std::optional<MonitorToEnforcer> decode_monitor_to_enforcer(Bytes bytes, unsigned descriptors);
std::optional<EnforcerToMonitor> decode_enforcer_to_monitor(Bytes bytes, unsigned descriptors);
std::optional<MonitorToSensor> decode_monitor_to_sensor(Bytes bytes, unsigned descriptors);
std::optional<SensorToMonitor> decode_sensor_to_monitor(Bytes bytes, unsigned descriptors);
std::optional<ControlRequest> decode_control_request(Bytes bytes, unsigned descriptors);
std::optional<ControlReply> decode_control_reply(Bytes bytes, unsigned descriptors);
std::optional<MonitorToResolver> decode_monitor_to_resolver(Bytes bytes, unsigned descriptors);
std::optional<ResolverToMonitor> decode_resolver_to_monitor(Bytes bytes, unsigned descriptors);
std::optional<ScoutToMonitor> decode_scout_to_monitor(Bytes bytes, unsigned descriptors);

}  // namespace portsentry
