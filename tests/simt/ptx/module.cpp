// SPDX-License-Identifier: Apache-2.0
#include "tests/simt/ptx/module.h"

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <map>
#include <memory>
#include <tuple>
#include <unordered_map>

#include "tests/simt/ptx/interpreter.h"
#include "tests/simt/ptx/lanes.h"
#include "tests/simt/ptx/parser.h"
#include "tests/simt/ptx/profile.h"
#include "tests/simt/report.h"
#include "tests/simt/shared_memory.h"

namespace simt::ptx {
namespace {

namespace fs = std::filesystem;

struct Module {
  std::string file, text;
  std::vector<SharedArray> shared;
  std::map<int, std::string> files;  ///< sources, by the numbers that places in them have
};

/// A kernel that has been found, and is parsed when it is launched first.
struct Entry {
  std::shared_ptr<const Module> module;
  size_t begin, end;  ///< of its text
  int line;
};

/// Word that begins at `at`.
std::string word_at(const std::string& text, size_t at) {
  return text.substr(at, text.find_first_of(" \t\n([;", at) - at);
}

/// A kernel's readable name without its parameters, some of whose types nvcc and g++ mangle differently.
std::string without_parameters(const std::string& name) {
  if (name.empty() || name.back() != ')') return name;
  size_t at = name.size() - 1;
  for (int open = 1; open > 0 && at > 0;) {
    --at;
    open += (name[at] == ')') - (name[at] == '(');
  }
  return name.substr(0, at);
}

/// ".shared .align 4 .b8 name[16];", ".shared .align 1 .u8 name;" and ".extern .shared .align 16 .b8 name[];" at the
/// beginning of a line.
std::vector<SharedArray> shared_arrays(const std::string& text) {
  std::vector<SharedArray> arrays;
  const std::string keyword = ".shared .align ";
  for (size_t at = text.find(keyword); at != std::string::npos; at = text.find(keyword, at + 1)) {
    const size_t line = text.rfind('\n', at) + 1, type = text.find(" .", at + keyword.size()) + 1;
    if (text[line] != '.') continue;  // inside a kernel
    const std::string type_name = word_at(text, type), name = word_at(text, type + type_name.size() + 1);
    const size_t end = type + type_name.size() + 1 + name.size();
    const size_t count = text[end] == '[' ? std::strtoull(text.c_str() + end + 1, nullptr, 10) : 1;
    arrays.push_back({name, count * bytes_of(type_named(type_name.substr(1))),
                      std::strtoull(text.c_str() + at + keyword.size(), nullptr, 10), text[line + 1] == 'e'});
  }
  return arrays;
}

/// `.file 1 "path"` at the beginning of a line.
std::map<int, std::string> files_of(const std::string& text) {
  std::map<int, std::string> files;
  const std::string keyword = ".file";
  for (size_t at = text.find(keyword); at != std::string::npos; at = text.find(keyword, at + 1)) {
    const size_t open = text.find('"', at), line_end = text.find('\n', at);
    if (open > line_end) continue;
    files[std::atoi(text.c_str() + at + keyword.size())] = text.substr(open + 1, text.find('"', open + 1) - open - 1);
  }
  return files;
}

std::vector<std::pair<std::string, Entry>> entries_of(std::string text, const std::string& file) {
  const auto module = std::make_shared<Module>(Module{file, std::move(text), {}, {}});
  module->shared = shared_arrays(module->text);
  module->files = files_of(module->text);
  const std::string keyword = ".entry ", close = "\n}";
  std::vector<std::pair<std::string, Entry>> entries;
  size_t counted = 0;
  int line = 1;
  for (size_t at = module->text.find(keyword); at != std::string::npos; at = module->text.find(keyword, at + 1)) {
    line += static_cast<int>(std::count(module->text.begin() + static_cast<std::ptrdiff_t>(counted),
                                        module->text.begin() + static_cast<std::ptrdiff_t>(at), '\n'));
    counted = at;
    const size_t end = module->text.find(close, at);
    if (end == std::string::npos) throw Unsupported(file + ": a kernel without an end");
    entries.emplace_back(word_at(module->text, at + keyword.size()), Entry{module, at, end + close.size(), line});
  }
  return entries;
}

Kernel parsed(const Entry& entry) {
  const std::string_view text = entry.module->text;
  Kernel kernel = parse_kernel(text.substr(entry.begin, entry.end - entry.begin), entry.module->file, entry.line,
                               entry.module->shared);
  kernel.files = entry.module->files;
  return kernel;
}

class Library {
 public:
  explicit Library(const std::string& paths) {
    if (const char* log = std::getenv("HOURGLASS_SIMT_PTX_LOG")) log_.open(log);
    for (size_t begin = 0; begin <= paths.size();) {
      const size_t end = std::min(paths.find(':', begin), paths.size());
      add(fs::path(paths.substr(begin, end - begin)));
      begin = end + 1;
    }
  }

  /// Throws Unsupported if there is none, or more than one.
  const Kernel& of(const void* function) {
    const auto [found, fresh] = kernels_.try_emplace(function);
    if (fresh) {
      const std::string name = demangled(symbol_of(function));
      auto [first, last] = entries_.equal_range(name);
      if (first == last) std::tie(first, last) = entries_.equal_range(without_parameters(name));
      // A template of a header has the same code in every file that instantiates it.
      const bool of_one_file = name.find("(anonymous namespace)") != std::string::npos;
      if (first == last || (of_one_file && std::next(first) != last)) {
        kernels_.erase(found);
        throw Unsupported(std::to_string(std::distance(first, last)) +
                          " kernels of this name in HOURGLASS_SIMT_PTX: " + name);
      }
      found->second = std::make_unique<Kernel>(parsed(first->second));
      if (log_.is_open()) log_ << found->second->symbol << std::endl;
    }
    return *found->second;
  }

 private:
  void add(const fs::path& path) {
    if (!fs::exists(path)) throw Unsupported("HOURGLASS_SIMT_PTX: no file or folder " + path.string());
    if (!fs::is_directory(path)) return add_file(path);
    for (const fs::directory_entry& file : fs::directory_iterator(path)) {
      if (file.path().extension() == ".ptx") add_file(file.path());
    }
  }
  void add_file(const fs::path& path) {
    std::ifstream file(path);
    const std::string text{std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
    for (auto& [symbol, entry] : entries_of(text, path.filename().string())) {
      const std::string name = demangled(symbol);
      entries_.emplace(without_parameters(name), entry);
      entries_.emplace(name, std::move(entry));
    }
  }

  std::ofstream log_;
  std::unordered_multimap<std::string, Entry> entries_;  ///< by name with, and without, parameters
  std::unordered_map<const void*, std::unique_ptr<Kernel>> kernels_;
};

/// Writes the profile, if one is wanted, as the process ends.
class ProfileFile {
 public:
  ProfileFile() {
    if (const char* path = std::getenv("HOURGLASS_SIMT_PTX_PROFILE")) path_ = path;
  }
  ~ProfileFile() {
    if (path_.empty()) return;
    std::ofstream file(path_);
    profile_.write(file);
  }
  Profile* profile() { return path_.empty() ? nullptr : &profile_; }

 private:
  std::string path_;
  Profile profile_;
};

const char* paths() {
  static const char* const value = std::getenv("HOURGLASS_SIMT_PTX");
  return value && *value ? value : nullptr;
}

}  // namespace

bool enabled() { return paths() != nullptr; }

bool run(const KernelCall& call) {
  try {
    static Library library{std::string(paths())};
    static ProfileFile profile_file;  // after the library, whose kernels it names
    Launch launch;
    launch.kernel = &library.of(call.kernel);
    launch.grid = call.grid;
    launch.block = call.block;
    launch.dynamic_bytes = call.shared_bytes;
    launch.arguments = call.argument_bytes;
    launch.poison = config().poison;
    launch.reverse = config().order == Order::kReverse;
    launch.profile = profile_file.profile();
    interpret(launch);
    return true;
  } catch (const std::runtime_error& error) {
    report("ptx", error.what() + (" [" + demangled(symbol_of(call.kernel)) + "]"));
    return false;
  }
}

std::vector<Kernel> parse_module(const std::string& text, const std::string& file) {
  std::vector<Kernel> kernels;
  for (const auto& [symbol, entry] : entries_of(text, file)) kernels.push_back(parsed(entry));
  return kernels;
}

}  // namespace simt::ptx
