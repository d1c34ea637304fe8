// SPDX-License-Identifier: Apache-2.0
// Runs after the tests ptx_* of ptx.cmake. Each kernel of kernels/*.cu must have run, as the PTX that nvcc made of it
// for compute_80, in at least one of them; what it makes for compute_90a must be the same; and mistakes put into the
// PTX of the wrappers of gpu.cuh and mma.cuh must be noticed by their tests. A kernel is a template: not every
// combination of its arguments is launched by small shapes.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <regex>
#include <set>
#include <string>

#include "tests/simt/shared_memory.h"

namespace hourglass::test {
namespace {

namespace fs = std::filesystem;

/// "void hourglass::cuda::(anonymous namespace)::fill_kernel<float>(long, float*)": "fill_kernel".
std::string kernel_in(const std::string& symbol) {
  std::string name = simt::demangled(symbol);
  const std::string anonymous = "(anonymous namespace)";
  for (size_t at = name.find(anonymous); at != std::string::npos; at = name.find(anonymous)) {
    name.erase(at, anonymous.size());
  }
  name.resize(std::min(name.find_first_of("<("), name.size()));
  return name.substr(name.find_last_of(": ") + 1);
}

/// What `names_of(line)` gives for the lines of the files in a folder that end so; empty names are left out.
template <class NameOf>
std::set<std::string> names_in(const fs::path& folder, const std::string& extension, NameOf name_of) {
  std::set<std::string> names;
  for (const fs::directory_entry& entry : fs::directory_iterator(folder)) {
    if (entry.path().extension() != extension) continue;
    std::ifstream file(entry.path());
    for (std::string line; std::getline(file, line);) {
      if (const std::string name = name_of(line); !name.empty()) names.insert(name);
    }
  }
  return names;
}

std::string of_entry(const std::string& line) {
  const std::string keyword = ".entry ";
  const size_t at = line.find(keyword);
  if (at == std::string::npos) return {};
  const size_t begin = at + keyword.size();
  return kernel_in(line.substr(begin, line.find('(', begin) - begin));
}

TEST(PtxNames, AreThoseOfTheSource) {
  EXPECT_EQ(
      of_entry(
          ".visible .entry _ZN9hourglass4cuda45_GLOBAL__N__8bf1a3f6_7_fill_cu_c91cc675_8651311fill_kernelIfEEvlPT_("),
      "fill_kernel");
  EXPECT_EQ(of_entry(".entry _ZN9hourglass4cuda11fill_kernelEv()"), "fill_kernel");
  EXPECT_EQ(of_entry("mov.u32 %r1, %tid.x;"), "");
}

class PtxKernels : public testing::Test {
 protected:
  void SetUp() override {
    const std::string problem = HOURGLASS_PTX_PROBLEM;
    if (!problem.empty()) GTEST_SKIP() << "the kernels' PTX is not tested: " << problem;
  }
  const fs::path folder_ = HOURGLASS_PTX_FOLDER;
};

std::string text_of(const fs::path& path) {
  std::ifstream file(path);
  return {std::istreambuf_iterator<char>(file), {}};
}

TEST_F(PtxKernels, EachRan) {
  const auto made = names_in(folder_ / "kernels", ".ptx", of_entry),
             ran = names_in(folder_ / "kernels", ".log", kernel_in);
  EXPECT_GT(made.size(), 50u);
  for (const std::string& kernel : made) EXPECT_TRUE(ran.count(kernel)) << kernel << " ran in no test of PTX";
}

/// Two texts for different architectures may differ in the line that names it.
TEST_F(PtxKernels, AreTheSameForBothArchitectures) {
  if (!HOURGLASS_PTX_OF_BOTH) GTEST_SKIP() << "PTX for compute_90a is there with HOURGLASS_PTX_FROM";
  const std::regex target("\n\\.target sm_(80|90a)\n");
  size_t files = 0;
  for (const fs::directory_entry& entry : fs::directory_iterator(folder_ / "kernels")) {
    if (entry.path().extension() != ".ptx") continue;
    ++files;
    const std::string name = entry.path().filename().string();
    std::string of_80 = text_of(entry.path()), of_90a = text_of(folder_ / "kernels_90a" / name);
    for (std::string* text : {&of_80, &of_90a}) {
      std::smatch found;
      ASSERT_TRUE(std::regex_search(*text, found, target)) << name;
      text->replace(static_cast<size_t>(found.position()), static_cast<size_t>(found.length()), "\n");
    }
    EXPECT_TRUE(of_80 == of_90a) << name << ": the code differs: let its tests of ptx.cmake run on kernels_90a too";
  }
  EXPECT_GT(files, 30u);
}

// ---------------------------------------------------------------- planted mistakes

struct Mistake {
  const char *name, *program;  ///< test_<program>
  const char *from, *to;       ///< a regular expression, replaced wherever it is found
  const char* noticed_by;      ///< a test of the program, which must fail
};

constexpr Mistake kMistakes[] = {
    {"bf16: two words of A swapped", "mma", R"((m16n8k16\S+ \{\S+\}, )\{(%r\d+),(%r\d+),)", "$1{$3,$2,",
     "ProductsOfBf16"},
    {"bf16: the words of B swapped", "mma", R"((m16n8k16\S+ \{\S+\}, \{\S+\}, )\{(%r\d+),(%r\d+)\})", "$1{$3,$2}",
     "ProductsOfBf16"},
    {"tf32: two words of A swapped", "mma", R"((m16n8k8\S+ \{\S+\}, )\{(%r\d+),(%r\d+),(%r\d+))", "$1{$2,$4,$3",
     "ProductsOfTf32"},
    {"two sums swapped", "mma", R"((m16n8k8\S+ )\{(%f\d+),(%f\d+),)", "$1{$3,$2,", "ProductsOfTf32"},
    {"tf32 not rounded", "mma", R"(cvt\.rna\.tf32\.f32)", "mov.b32", "RoundingToTf32"},
    {"a transposition forgotten", "mma", R"(\.x4\.trans\.)", ".x4.", "LoadsMatrices"},
    {"a transposition too many", "mma", R"(\.x4\.shared)", ".x4.trans.shared", "LoadedOperandsMultiply"},
    {"a copy that does not look whether it is inside", "mma", R"((cp\.async\.cg.*, 16, )%r\d+;)", "$1 16;",
     "CopiesArriveInGroups"},
    {"a copy that is always outside", "mma", R"((cp\.async\.cg.*, 16, )%r\d+;)", "$1 0;", "CopiesArriveInGroups"},
    {"a wait that lets one group too many go on", "mma", R"(wait_group 2;)", "wait_group 3;", "CopiesArriveInGroups"},
    {"a missing wait", "mma", R"(cp\.async\.wait_group 0;)", "", "CopiesArriveInGroups"},
    {"a missing commit", "mma", R"(cp\.async\.commit_group;)", "", "CopiesArriveInGroups"},
    {"a missing barrier", "mma", R"(bar\.sync\s+0;)", "", "CopiesArriveInGroups"},
    {"a shuffle in the other direction", "gpu", R"(shfl\.sync\.up)", "shfl.sync.down", "Shuffles"},
    {"a barrier that votes wrongly", "gpu", R"(bar\.red\.and)", "bar.red.or", "BarriersVote"},
    {"an atomic maximum of signed numbers", "gpu", R"(atom\.global\.max\.u32)", "atom.global.max.s32", "Atomics"},
};

/// The program's exit status on PTX in `folder`, and what it says.
struct Outcome {
  int status;
  std::string output;
};
Outcome run_test(const std::string& program, const fs::path& folder) {
  const fs::path output = folder / "output.txt";
  const std::string command = "HOURGLASS_SIMT_PTX='" + folder.string() + "' '" HOURGLASS_PTX_TESTS "/test_" + program +
                              "' --gtest_brief=1 --gtest_filter=-*CopiesNeedAWait*:*AWarpMultiplies* >'" +
                              output.string() + "' 2>&1";
  const int status = std::system(command.c_str());
  return {status, text_of(output)};
}

class PtxMistakes : public PtxKernels {
 protected:
  void TearDown() override { fs::remove_all(own_); }
  Outcome run_with(const std::string& program, const std::string& ptx) const {
    fs::create_directory(own_);
    std::ofstream(own_ / "edited.ptx") << ptx;
    return run_test(program, own_);
  }
  std::string wrappers(const std::string& program) const {
    return text_of(folder_ / "wrappers_80" / ("test_" + program + ".ptx"));
  }
  const fs::path own_ = folder_ / "mistakes";
};

TEST_F(PtxMistakes, TheirTwinsPass) {
  for (const std::string program : {"mma", "gpu"}) {
    const Outcome outcome = run_with(program, wrappers(program));
    EXPECT_EQ(outcome.status, 0) << outcome.output;
  }
}

TEST_F(PtxMistakes, AreNoticed) {
  for (const Mistake& mistake : kMistakes) {
    const std::string text = wrappers(mistake.program),
                      edited = std::regex_replace(text, std::regex(mistake.from), mistake.to);
    ASSERT_NE(text, edited) << mistake.name;
    const Outcome outcome = run_with(mistake.program, edited);
    const std::regex failure("FAILED  \\] \\w+\\." + std::string(mistake.noticed_by) + "\\b");
    EXPECT_TRUE(outcome.status != 0 && std::regex_search(outcome.output, failure)) << mistake.name << outcome.output;
    EXPECT_EQ(outcome.output.find("does not know"), std::string::npos) << mistake.name << outcome.output;
  }
}

}  // namespace
}  // namespace hourglass::test
