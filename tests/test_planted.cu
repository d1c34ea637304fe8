// SPDX-License-Identifier: Apache-2.0
// Each bug of tests/simt/planted is noticed by this flavour of the emulator as its table says, and in its correct twin
// nothing is. Every run is a process of its own: a sanitizer ends it, and a wild write harms no other.
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <iterator>
#include <map>
#include <memory>
#include <set>
#include <sstream>
#include <string>
#include <vector>

#include "tests/simt/planted/planted.h"
#include "tests/simt/simt.h"

namespace hourglass::test {

void PrintTo(const PlantedBug& bug, std::ostream* out) { *out << bug.name; }

namespace {

std::vector<PlantedBug> all_bugs() {
  std::vector<PlantedBug> all;
  for (const auto& part : {planted_barriers(), planted_memory(), planted_warps(), planted_host(), planted_images(),
                           planted_matrices(), planted_hopper(), planted_training()}) {
    all.insert(all.end(), part.begin(), part.end());
  }
  return all;
}

const char* expected(const PlantedBug& bug) {
#if defined(HOURGLASS_SIMT_CHECK)
  return bug.checked;
#elif defined(HOURGLASS_SANITIZED)
  return bug.sanitized;
#else
  return bug.plain;
#endif
}

std::set<std::string> words(const std::string& text) {
  std::istringstream stream(text);
  return {std::istream_iterator<std::string>(stream), {}};
}

bool is_wrong(const Outcome& outcome) {
  if (outcome.want.empty()) return false;
  if (outcome.got.size() != outcome.want.size()) return true;
  for (size_t i = 0; i < outcome.got.size(); ++i) {
    if (!(std::fabs(outcome.got[i] - outcome.want[i]) <= 1e-4f * std::fabs(outcome.want[i]) + 1e-6f)) return true;
  }
  return false;
}

/// Signs, each with what a report says.
using Signs = std::map<std::string, std::string>;

/// Writes lines "<sign> <text>" as they are found, under every schedule.
void run_and_tell(const PlantedBug& bug, bool planted, int out) {
  const auto tell = [out](const std::string& sign, const std::string& text = "") {
    const std::string line = sign + " " + text + "\n";
    static_cast<void>(!::write(out, line.data(), line.size()));
  };
  Floats first;
  bool have_first = false;
  for (const simt::Config& schedule : simt::all_schedules()) {
    const simt::ScopedConfig scope(schedule);
    Outcome outcome;
    try {
      outcome = bug.run(planted);
    } catch (const Error&) {
      outcome.refused = true;
    }
    static_cast<void>(cudaDeviceSynchronize());
    static_cast<void>(cudaGetLastError());
    for (const simt::Report& report : simt::take_reports()) tell(report.kind, report.text);
    if (outcome.refused) tell("refused");
    if (is_wrong(outcome)) tell("wrong");
    if (!std::exchange(have_first, true)) {
      first = outcome.got;
    } else if (first.size() != outcome.got.size() ||
               (!first.empty() && std::memcmp(first.data(), outcome.got.data(), first.size() * sizeof(float)) != 0)) {
      tell("differs");
    }
  }
}

std::string contents(FILE* file) {
  std::rewind(file);
  std::string text;
  for (int c; (c = std::fgetc(file)) != EOF;) text += static_cast<char>(c);
  return text;
}

Signs signs_of(const PlantedBug& bug, bool planted) {
  const std::unique_ptr<FILE, int (*)(FILE*)> told(std::tmpfile(), std::fclose), errors(std::tmpfile(), std::fclose);
  if (!told || !errors) throw std::runtime_error("no temporary file");
  const pid_t child = fork();
  if (child == 0) {
    dup2(fileno(errors.get()), STDERR_FILENO);
    alarm(120);
    run_and_tell(bug, planted, fileno(told.get()));
    _exit(0);
  }
  int status = 0;
  waitpid(child, &status, 0);
  Signs signs;
  std::istringstream lines(contents(told.get()));
  for (std::string sign, text; lines >> sign && std::getline(lines, text);) signs.emplace(sign, text);
  if (!WIFEXITED(status) || WEXITSTATUS(status) != 0) {
    const std::string text = contents(errors.get());
    const bool address = text.find("AddressSanitizer") != std::string::npos;
    const bool undefined = text.find("runtime error:") != std::string::npos;
    signs.emplace(undefined ? "ubsan" : address ? "asan" : "crash", text);
  }
  return signs;
}

std::string text_of(const Signs& signs) {
  std::string text;
  for (const auto& [sign, report] : signs) text += "\n  " + sign + ":" + report;
  return text;
}

class Planted : public testing::TestWithParam<PlantedBug> {};

TEST_P(Planted, BugIsNoticed) {
  const Signs found = signs_of(GetParam(), true);
  for (const std::string& sign : words(expected(GetParam()))) {
    EXPECT_TRUE(found.count(sign)) << "expected '" << sign << "'; found:" << text_of(found);
  }
}

TEST_P(Planted, TwinIsClean) {
  const Signs found = signs_of(GetParam(), false);
  EXPECT_TRUE(found.empty()) << text_of(found);
}

INSTANTIATE_TEST_SUITE_P(Bugs, Planted, testing::ValuesIn(all_bugs()),
                         [](const auto& info) { return info.param.name; });

#if defined(HOURGLASS_SIMT_CHECK)
TEST(PlantedReports, NameTheLinesAndBothThreads) {
  for (const PlantedBug& bug : all_bugs()) {
    if (std::string(bug.checked) != "race") continue;
    SCOPED_TRACE(bug.name);
    const std::string text = signs_of(bug, true)["race"];
    const size_t second = text.find(".cu:", text.find(".cu:") + 1);
    EXPECT_NE(second, std::string::npos) << "two lines: " << text;
    EXPECT_NE(text.find("by thread "), std::string::npos) << text;
    EXPECT_NE(text.find(", thread ("), std::string::npos) << text;
  }
}
#endif

TEST(PlantedTable, EveryBugIsNoticedByOneFlavour) {
  std::set<std::string> names;
  for (const PlantedBug& bug : all_bugs()) {
    EXPECT_TRUE(*bug.plain || *bug.sanitized || *bug.checked) << bug.name;
    EXPECT_TRUE(names.insert(bug.name).second) << bug.name;
  }
  EXPECT_GE(names.size(), 56u);
}

TEST(PlantedTable, StandsInTheDocument) {
  std::ifstream file(std::string(HOURGLASS_SOURCE_DIR) + "/docs/emulator.md");
  const std::string document{std::istreambuf_iterator<char>(file), {}};
  std::string table = "| planted bug | plain | sanitizers | checker |\n|---|---|---|---|\n";
  const auto cell = [](const char* signs) { return " | " + std::string(*signs ? signs : "-"); };
  for (const PlantedBug& bug : all_bugs()) {
    table += "| " + std::string(bug.mistake) + cell(bug.plain) + cell(bug.sanitized) + cell(bug.checked) + " |\n";
  }
  EXPECT_NE(document.find(table), std::string::npos) << "docs/emulator.md should have this table:\n" << table;
}

}  // namespace
}  // namespace hourglass::test
