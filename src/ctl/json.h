// One JSON object (RFC 8259) for programs: keys in the order in which they are added, so that the text
// of equal answers is equal. Pure.
//
// Every object that portsentryctl prints begins with "version" (kJsonVersion) and "verb". Keys are
// added in later releases, and neither removed nor given another meaning without another version.
#pragma once

#include <concepts>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace portsentry::ctl {

inline constexpr int kJsonVersion = 1;

class Json {
 public:
  Json() = default;
  // "version" and "verb" are in it.
  static Json answer(std::string_view verb);

  Json& add(std::string_view key, std::string_view text);
  Json& add(std::string_view key, const char* text) { return add(key, std::string_view(text)); }
  template <std::integral Number>
  Json& add(std::string_view key, Number number) {
    if constexpr (std::same_as<Number, bool>) {
      return raw(key, number ? "true" : "false");
    } else {
      return raw(key, std::to_string(number));
    }
  }
  Json& add(std::string_view key, const Json& object) { return raw(key, object.text()); }
  // null where there is nothing.
  template <class Value>
  Json& add(std::string_view key, const std::optional<Value>& value) {
    return value ? add(key, *value) : raw(key, "null");
  }
  // `items`: what `item` makes an object of.
  template <class Items, class Item>
  Json& list(std::string_view key, const Items& items, Item item) {
    std::string all = "[";
    for (const auto& each : items) {
      if (all.size() > 1) all += ',';
      all += Json::value(item(each));
    }
    return raw(key, all + "]");
  }

  [[nodiscard]] std::string text() const { return "{" + members_ + "}"; }
  // With its newline.
  [[nodiscard]] std::string line() const { return text() + "\n"; }

 private:
  Json& raw(std::string_view key, std::string_view value);
  static std::string value(const Json& object) { return object.text(); }
  static std::string value(std::string_view text);

  std::string members_;
};

}  // namespace portsentry::ctl
