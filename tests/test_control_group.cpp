// SPDX-License-Identifier: Apache-2.0
#include <cstdint>
#include <fstream>

#include "engine/buffer.h"
#include "engine/control_group.h"
#include "tests/file_checks.h"

namespace hourglass {
namespace {

class ControlGroup : public ::testing::Test {
 protected:
  void write(const char* name, const char* text) const { std::ofstream(folder_ / name) << text; }
  size_t available() const { return available_to_group(folder_.path()); }
  test::TemporaryFolder folder_;
};

TEST_F(ControlGroup, WithoutALimitThereIsNone) {
  EXPECT_EQ(available(), SIZE_MAX) << "no such group";
  write("memory.max", "max\n");
  write("memory.current", "1000\n");
  EXPECT_EQ(available(), SIZE_MAX);
}

TEST_F(ControlGroup, WhatIsInUseIsNotAvailable) {
  write("memory.max", "5000\n");
  write("memory.current", "1200\n");
  EXPECT_EQ(available(), 3800u);
  write("memory.current", "6000\n");
  EXPECT_EQ(available(), 0u);
}

TEST_F(ControlGroup, FilesThatWereReadAreGivenBack) {
  write("memory.max", "5000\n");
  write("memory.current", "4000\n");
  write("memory.stat", "anon 900\nfile 3000\ninactive_anon 7\ninactive_file 2500\nactive_file 500\n");
  EXPECT_EQ(available(), 3500u);
}

TEST_F(ControlGroup, MemoryIsAvailableHere) { EXPECT_GT(available_memory(), size_t{1} << 20); }

}  // namespace
}  // namespace hourglass
