// SPDX-License-Identifier: Apache-2.0
#include <cmath>
#include <limits>

#include "engine/io/json.h"
#include "tests/file_checks.h"

namespace hourglass {
namespace {

using test::expect_error;

Json parse(const std::string& text) { return Json::parse(text, "sample"); }

TEST(Json, WritesWhatWasSet) {
  Json json = Json::object({{"step", 12}, {"loss", 0.5}, {"name", "vae"}, {"done", false}, {"best", nullptr}});
  json.set("list", Json::array({1, "two", Json::object()})).set("step", int64_t{1} << 40);
  EXPECT_EQ(json.dump(),
            R"({"step":1099511627776,"loss":0.5,"name":"vae","done":false,"best":null,"list":[1,"two",{}]})");
  EXPECT_EQ(Json::object({{"a", Json::array({1, 2})}, {"b", Json::array()}}).dump(2),
            "{\n  \"a\": [\n    1,\n    2\n  ],\n  \"b\": []\n}");
}

TEST(Json, DoublesAreShortAndExact) {
  EXPECT_EQ(Json(0.1).dump(), "0.1");
  EXPECT_EQ(Json(3.0).dump(), "3.0");
  EXPECT_EQ(Json(-0.0).dump(), "-0.0");
  EXPECT_EQ(Json(1e300).dump(), "1e+300");
  EXPECT_EQ(Json(std::nan("")).dump(), "null");
  EXPECT_EQ(Json(-std::numeric_limits<double>::infinity()).dump(), "null");
  for (const double value : {1.0 / 3, 5e-324, 1.7976931348623157e308, 123456789012345680.0, 0.1 + 0.2}) {
    const Json read = parse(Json(value).dump());
    EXPECT_TRUE(read.is_number() && !read.is_integer());
    EXPECT_EQ(read.as_number(), value);
  }
}

TEST(Json, ReadsBackWhatItWrote) {
  const std::string text = R"({"z":1,"a":[true,false,null,-7,2.5,"é\n\"\\"],"m":{"k":[]}})";
  const Json json = parse(text);
  EXPECT_EQ(json.dump(), text);
  EXPECT_EQ(json.members()[0].key, "z") << "the order of keys is kept";
  EXPECT_EQ(json.at("a").elements()[3].as_integer(), -7);
  EXPECT_EQ(json.at("a").elements()[5].as_string(), "\xc3\xa9\n\"\\");
  EXPECT_TRUE(json.at("a").elements()[2].is_null());
  EXPECT_EQ(json.get_number("z"), 1.0) << "an integer is a number";
  EXPECT_EQ(json.find("none"), nullptr);
  EXPECT_EQ(parse("9223372036854775807").as_integer(), std::numeric_limits<int64_t>::max());
}

TEST(Json, RefusesWithTheSourceAndTheReason) {
  expect_error([] { parse("{\"a\":}"); }, Exit::kData, {"sample", "byte"});
  expect_error([] { parse(R"({"a":1,"b":{"a":2},"a":3})"); }, Exit::kData, {"sample", "duplicate key \"a\""});
  expect_error([] { Json::parse("", "file.x", Exit::kCheckpoint); }, Exit::kCheckpoint, {"file.x"});
  for (const char* text : {"", " ", "nul", "01", "1 2", "[1,]", "{\"a\":1,}", "'a'", "NaN", "\"\xff\"", "[1] x",
                           "1e999", "9223372036854775808", "\"\t\"", "// c\n1"}) {
    SCOPED_TRACE(text);
    expect_error([&] { parse(text); }, Exit::kData, {"sample"});
  }
}

TEST(Json, DepthIsBounded) {
  const auto nested = [](size_t depth) { return std::string(depth, '[') + std::string(depth, ']'); };
  EXPECT_EQ(parse(nested(64)).dump(), nested(64));
  expect_error([&] { parse(nested(65)); }, Exit::kData, {"sample", "deeper than 64"});
  expect_error([&] { parse(std::string(1000000, '[')); }, Exit::kData, {"sample", "deeper than 64"});
}

TEST(Json, NumberOfValuesIsBounded) {
  std::string text = "[0";
  for (int i = 0; i < (1 << 20); ++i) text += ",0";
  expect_error([&] { parse(text + "]"); }, Exit::kData, {"sample", "more than 1048576 values"});
}

TEST(Json, GettersNameKeyExpectedAndFound) {
  const Json json = Json::parse(R"({"n":1.5,"s":"x","b":true,"o":{"i":"7"}})", "run.json", Exit::kCheckpoint);
  expect_error([&] { json.at("none"); }, Exit::kCheckpoint, {"run.json", "\"none\" is missing"});
  expect_error([&] { json.get_integer("n"); }, Exit::kCheckpoint, {"\"n\"", "an integer", "a number"});
  expect_error([&] { json.get_number("s"); }, Exit::kCheckpoint, {"\"s\"", "a number", "a string"});
  expect_error([&] { json.get_string("b"); }, Exit::kCheckpoint, {"\"b\"", "a string", "a boolean"});
  expect_error([&] { json.get_bool("o"); }, Exit::kCheckpoint, {"\"o\"", "a boolean", "an object"});
  expect_error([&] { json.at("o").elements(); }, Exit::kCheckpoint, {"run.json", "an array"});
  expect_error([&] { json.at("o").get_integer("i"); }, Exit::kCheckpoint, {"run.json", "\"i\""});
  expect_error([] { Json("x").as_integer(); }, Exit::kInternal, {"an integer", "a string"});
  expect_error([] { Json(1).set("a", 1); }, Exit::kInternal, {"an object"});
}

TEST(Json, BytesThatAreNotUtf8AreReplaced) { EXPECT_EQ(Json("a\xff").dump(), "\"a\xef\xbf\xbd\""); }

TEST(Json, DamagedTextIsRefusedOrRead) {
  const std::string text = R"({"step":12,"loss":-2.5e-3,"text":"a\u00e9\"","list":[true,null,{"x":[]}]})";
  const std::vector<uint8_t> bytes(text.begin(), text.end());
  const auto parser = [](const std::vector<uint8_t>& b) { parse(std::string(b.begin(), b.end())).dump(); };
  test::expect_prefixes_refused(bytes, Exit::kData, parser);
  test::count_accepted_flips(bytes, 0, bytes.size(), Exit::kData, parser);
}

}  // namespace
}  // namespace hourglass
