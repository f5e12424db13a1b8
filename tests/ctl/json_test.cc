#include "ctl/json.h"

#include <gtest/gtest.h>

#include <limits>
#include <vector>

namespace portsentry::ctl {
namespace {

TEST(Json, AnAnswerBeginsWithItsVersionAndVerb) {
  EXPECT_EQ(Json::answer("list").line(), "{\"version\":1,\"verb\":\"list\"}\n");
}

TEST(Json, MembersKeepTheirOrder) {
  Json json;
  json.add("b", true)
      .add("a", -3)
      .add("t", "text")
      .add("u", std::numeric_limits<std::uint64_t>::max());
  EXPECT_EQ(json.text(), R"({"b":true,"a":-3,"t":"text","u":18446744073709551615})");
}

TEST(Json, WhatIsNotThereIsNull) {
  Json json;
  json.add("until", std::optional<int>()).add("since", std::optional<int>(5));
  EXPECT_EQ(json.text(), R"({"until":null,"since":5})");
}

TEST(Json, ListsHoldObjectsOrTexts) {
  Json json;
  json.list("n", std::vector<int>{1, 2}, [](int n) { return std::move(Json().add("is", n)); });
  json.list("t", std::vector<std::string>{"x", "y"},
            [](const std::string& s) -> std::string_view { return s; });
  json.list("e", std::vector<int>{}, [](int) { return Json(); });
  EXPECT_EQ(json.text(), R"({"n":[{"is":1},{"is":2}],"t":["x","y"],"e":[]})");
}

TEST(Json, QuotesAndBackslashesAreEscaped) {
  EXPECT_EQ(Json().add("a\"", "b\\c\"d").text(), R"({"a\"":"b\\c\"d"})");
}

TEST(Json, ControlCharactersAndBrokenUtf8NeverReachTheOutput) {
  const std::string text = Json().add("t", "a\nb\x1b[2J\xff\xc3").text();
  EXPECT_EQ(text, R"({"t":"a?b?[2J??"})");
  EXPECT_EQ(Json().add("t", "für").text(), "{\"t\":\"für\"}");
}

}  // namespace
}  // namespace portsentry::ctl
