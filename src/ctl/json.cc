#include "ctl/json.h"

#include "common/text.h"

namespace portsentry::ctl {
namespace {

constexpr std::size_t kMaxValue = 4096;

}  // namespace

Json Json::answer(std::string_view verb) {
  Json json;
  json.add("version", kJsonVersion).add("verb", verb);
  return json;
}

Json& Json::add(std::string_view key, std::string_view text) {
  return raw(key, value(text));
}

Json& Json::raw(std::string_view key, std::string_view value) {
  if (!members_.empty()) members_ += ',';
  members_ += Json::value(key);
  members_ += ':';
  members_ += value;
  return *this;
}

// After plain_text() there is no control character and no broken UTF-8: two bytes are left to escape.
// Output that a person sends to a terminal can do no more than a table.
std::string Json::value(std::string_view text) {
  std::string out = "\"";
  for (const char c : plain_text(text, kMaxValue)) {
    if (c == '"' || c == '\\') out += '\\';
    out += c;
  }
  return out + "\"";
}

}  // namespace portsentry::ctl
