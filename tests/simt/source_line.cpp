// SPDX-License-Identifier: Apache-2.0
#include "tests/simt/source_line.h"

#include <link.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <map>
#include <memory>
#include <vector>

#include "tests/simt/shared_memory.h"

namespace simt {
namespace {

struct Executable {
  uintptr_t load = 0, first = UINTPTR_MAX, end = 0;
};

const Executable& executable() {
  static const Executable found = [] {
    Executable program;
    dl_iterate_phdr(
        [](dl_phdr_info* info, size_t, void* result) {
          auto& out = *static_cast<Executable*>(result);
          out.load = info->dlpi_addr;
          for (int i = 0; i < info->dlpi_phnum; ++i) {
            const auto& header = info->dlpi_phdr[i];
            if (header.p_type != PT_LOAD) continue;
            out.first = std::min<uintptr_t>(out.first, out.load + header.p_vaddr);
            out.end = std::max<uintptr_t>(out.end, out.load + header.p_vaddr + header.p_memsz);
          }
          return 1;  // the first entry is the executable
        },
        &program);
    return program;
  }();
  return found;
}

/// Frames of an address, innermost first, as addr2line writes them.
std::vector<std::string> frames(const void* pc) {
  char command[160];
  // A return address stands behind its call.
  std::snprintf(command, sizeof command, "addr2line -i -e /proc/%d/exe 0x%zx 2>/dev/null", static_cast<int>(getpid()),
                reinterpret_cast<uintptr_t>(pc) - 1 - executable().load);
  std::vector<std::string> lines;
  const std::unique_ptr<FILE, int (*)(FILE*)> pipe(popen(command, "r"), pclose);
  char line[1024];
  while (pipe && std::fgets(line, sizeof line, pipe.get())) {
    std::string text = line;
    text.resize(std::min(text.find_first_of(" \n"), text.size()));  // "(discriminator 2)"
    if (text.rfind("??", 0) != 0) lines.push_back(text);
  }
  return lines;
}

bool is_foreign(const std::string& frame) {
  static const std::string emulator = "tests/simt/";
  const size_t folder = frame.find(emulator);
  const bool of_emulator =
      folder != std::string::npos && frame.find('/', folder + emulator.size()) == std::string::npos;
  return of_emulator || frame.find("/include/c++/") != std::string::npos;
}
std::string file_of(const std::string& frame) { return frame.substr(0, frame.rfind(':')); }
std::string base_name(const std::string& frame) { return frame.substr(frame.rfind('/') + 1); }

}  // namespace

std::string source_line(const void* pc) {
  static std::map<const void*, std::string> known;
  std::string& text = known[pc];
  if (!text.empty()) return text;
  const std::vector<std::string> lines = frames(pc);
  const auto own = std::find_if_not(lines.begin(), lines.end(), is_foreign);
  if (own == lines.end()) return text = "in " + demangled(symbol_around(pc));
  text = base_name(*own);
  if (file_of(lines.back()) != file_of(*own)) text += " (from " + base_name(lines.back()) + ")";
  return text;
}

uint32_t code_offset(const void* pc) {
  return static_cast<uint32_t>(reinterpret_cast<uintptr_t>(pc) - executable().load);
}
const void* code_address(uint32_t offset) { return reinterpret_cast<const void*>(executable().load + offset); }

bool is_program_memory(uintptr_t address) { return address >= executable().first && address < executable().end; }

bool is_library_code(const void* pc) {
  const std::string symbol = symbol_around(pc);
  for (const char* prefix : {"_ZNSt", "_ZNKSt", "_ZSt", "_ZN9__gnu_cxx", "_ZN4simt"}) {
    if (symbol.rfind(prefix, 0) == 0) return true;
  }
  return false;
}

}  // namespace simt
