// SPDX-License-Identifier: Apache-2.0
// Runs after the tests ptx_* of ptx.cmake: each kernel of kernels/*.cu must have run, as the PTX that nvcc made of it,
// in at least one of them. A kernel is a template: not every combination of its arguments is launched by small shapes.
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
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

TEST(PtxKernels, NamesAreThoseOfTheSource) {
  EXPECT_EQ(
      of_entry(
          ".visible .entry _ZN9hourglass4cuda45_GLOBAL__N__8bf1a3f6_7_fill_cu_c91cc675_8651311fill_kernelIfEEvlPT_("),
      "fill_kernel");
  EXPECT_EQ(of_entry(".entry _ZN9hourglass4cuda11fill_kernelEv()"), "fill_kernel");
  EXPECT_EQ(of_entry("mov.u32 %r1, %tid.x;"), "");
}

TEST(PtxKernels, EachRan) {
  const std::string problem = HOURGLASS_PTX_PROBLEM;
  if (!problem.empty()) GTEST_SKIP() << "the kernels' PTX is not tested: " << problem;
  const fs::path folder = HOURGLASS_PTX_FOLDER;
  const auto made = names_in(folder, ".ptx", of_entry), ran = names_in(folder, ".log", kernel_in);
  EXPECT_GT(made.size(), 50u);
  for (const std::string& kernel : made) EXPECT_TRUE(ran.count(kernel)) << kernel << " ran in no test of PTX";
}

}  // namespace
}  // namespace hourglass::test
