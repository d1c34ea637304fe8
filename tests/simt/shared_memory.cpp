// SPDX-License-Identifier: Apache-2.0
#include "tests/simt/shared_memory.h"

#include <cxxabi.h>
#include <elf.h>
#include <fcntl.h>
#include <link.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>
#include <cstring>
#include <map>
#include <memory>
#include <new>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#if defined(HOURGLASS_SANITIZED)
#include <sanitizer/asan_interface.h>
#endif

namespace simt {

struct SharedVariable {
  size_t offset, bytes;
  bool own;  ///< of the kernel itself, not of a helper
  std::string symbol;
};

namespace {

constexpr size_t kPage = 4096, kMaxDynamic = 228 << 10;
/// Helpers with scratch of their own: functions of namespace hourglass::gpu, and those of hourglass::cuda that are
/// always inlined, so that no function of their name is left.
constexpr const char *kHelperPrefix = "_ZZN9hourglass3gpu", *kKernelPrefix = "_ZZN9hourglass4cuda";

/// A thread-local variable inside a function: offset in the executable's thread-local block.
struct LocalVariable {
  std::string symbol;
  size_t offset, bytes;
};

class SymbolTable {
 public:
  static const SymbolTable& of_executable() {
    static const SymbolTable table;
    return table;
  }
  const std::vector<LocalVariable>& variables() const { return variables_; }
  /// Whether the function around a local variable is there.
  bool has_function_of(const std::string& variable) const {
    for (size_t end = variable.find('E'); end != std::string::npos; end = variable.find('E', end + 1)) {
      if (names_.count("_Z" + variable.substr(3, end - 3))) return true;
    }
    return false;
  }
  /// Of a guard variable, by which g++ asks whether an array of a class is initialised.
  bool is_guard(size_t offset) const { return guards_.count(offset) > 0; }
  std::string function(const void* address) const {
    const auto found = functions_.find(reinterpret_cast<uintptr_t>(address) - load_address_);
    return found == functions_.end() ? std::string() : found->second;
  }
  std::string around(const void* address) const {
    const auto after = functions_.upper_bound(reinterpret_cast<uintptr_t>(address) - load_address_);
    return after == functions_.begin() ? std::string() : std::prev(after)->second;
  }

 private:
  SymbolTable() {
    dl_iterate_phdr(
        [](dl_phdr_info* info, size_t, void* address) {
          *static_cast<uintptr_t*>(address) = info->dlpi_addr;
          return 1;  // the first entry is the executable
        },
        &load_address_);
    const int file = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
    struct stat status = {};
    if (file < 0 || fstat(file, &status) != 0) return;
    const auto bytes = static_cast<size_t>(status.st_size);
    void* const image = mmap(nullptr, bytes, PROT_READ, MAP_PRIVATE, file, 0);
    close(file);
    if (image == MAP_FAILED) return;
    read(static_cast<const char*>(image));
    munmap(image, bytes);
  }

  void read(const char* image) {
    const auto* header = reinterpret_cast<const Elf64_Ehdr*>(image);
    const auto* sections = reinterpret_cast<const Elf64_Shdr*>(image + header->e_shoff);
    for (int i = 0; i < header->e_shnum; ++i) {
      if (sections[i].sh_type != SHT_SYMTAB) continue;
      const auto* symbols = reinterpret_cast<const Elf64_Sym*>(image + sections[i].sh_offset);
      const char* names = image + sections[sections[i].sh_link].sh_offset;
      for (size_t k = 0; k < sections[i].sh_size / sizeof(Elf64_Sym); ++k) add(symbols[k], names + symbols[k].st_name);
    }
  }

  void add(const Elf64_Sym& symbol, const char* name) {
    const auto type = ELF64_ST_TYPE(symbol.st_info);
    if (type == STT_TLS && symbol.st_size && std::strncmp(name, "_ZZ", 3) == 0) {
      variables_.push_back({name, symbol.st_value, symbol.st_size});
    } else if (type == STT_TLS && std::strncmp(name, "_ZGVZ", 5) == 0) {
      guards_.insert(symbol.st_value);
    } else if (type == STT_FUNC && symbol.st_value && std::strncmp(name, "_Z", 2) == 0) {
      functions_.emplace(symbol.st_value, name);
      names_.insert(name);
    }
  }

  uintptr_t load_address_ = 0;
  std::vector<LocalVariable> variables_;
  std::unordered_set<size_t> guards_;
  std::unordered_set<std::string> names_;
  std::map<uintptr_t, std::string> functions_;
};

bool starts_with(const std::string& text, const std::string& prefix) { return text.rfind(prefix, 0) == 0; }

bool is_helper(const std::string& variable) {
  return starts_with(variable, kHelperPrefix) ||
         (starts_with(variable, kKernelPrefix) && !SymbolTable::of_executable().has_function_of(variable));
}

const std::vector<SharedVariable>& shared_variables(const void* kernel) {
  thread_local std::unordered_map<const void*, std::vector<SharedVariable>> cache;
  const auto [entry, fresh] = cache.try_emplace(kernel);
  if (fresh) {
    const std::string symbol = symbol_of(kernel);
    const std::string own = symbol.empty() ? "?" : "_ZZ" + symbol.substr(2) + "E";
    for (const LocalVariable& variable : SymbolTable::of_executable().variables()) {
      const bool is_own = starts_with(variable.symbol, own);
      if (is_own || is_helper(variable.symbol)) {
        entry->second.push_back({variable.offset, variable.bytes, is_own, variable.symbol});
      }
    }
  }
  return entry->second;
}

struct ThreadLocals {
  char* first = nullptr;
  size_t bytes = 0;
};
ThreadLocals thread_local_block() {
  ThreadLocals block;
  dl_iterate_phdr(
      [](dl_phdr_info* info, size_t, void* result) {
        auto& out = *static_cast<ThreadLocals*>(result);
        out.first = static_cast<char*>(info->dlpi_tls_data);
        for (int i = 0; i < info->dlpi_phnum; ++i) {
          if (info->dlpi_phdr[i].p_type == PT_TLS) out.bytes = info->dlpi_phdr[i].p_memsz;
        }
        return 1;
      },
      &block);
  return block;
}

}  // namespace

std::string symbol_of(const void* function) { return SymbolTable::of_executable().function(function); }

std::string symbol_around(const void* address) { return SymbolTable::of_executable().around(address); }

std::string demangled(const std::string& symbol) {
  int status = 0;
  const std::unique_ptr<char, void (*)(void*)> name(abi::__cxa_demangle(symbol.c_str(), nullptr, nullptr, &status),
                                                    std::free);
  return status == 0 ? name.get() : symbol;
}

size_t static_shared_bytes(const void* kernel) {
  size_t bytes = 0;
  for (const SharedVariable& variable : shared_variables(kernel)) bytes += variable.own ? variable.bytes : 0;
  return bytes;
}

SharedMemory::~SharedMemory() {
  if (mapping_) munmap(mapping_, kMaxDynamic + kPage);
}

void SharedMemory::prepare(const void* kernel, size_t dynamic_bytes) {
  if (!mapping_) {
    void* const mapping =
        mmap(nullptr, kMaxDynamic + kPage, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (mapping == MAP_FAILED) throw std::bad_alloc();
    mapping_ = static_cast<char*>(mapping);
    const ThreadLocals block = thread_local_block();
    thread_locals_ = block.first;
    thread_local_bytes_ = block.bytes;
    if (mprotect(mapping_ + kMaxDynamic, kPage, PROT_NONE) != 0) throw std::bad_alloc();
  }
  // As near to the page without access as the alignment of 128 bytes allows: what lies past the end faults soon.
  variables_ = &shared_variables(kernel);
  dynamic_bytes_ = dynamic_bytes;
  dynamic_ = mapping_ + (kMaxDynamic - dynamic_bytes) / 128 * 128;
#if defined(HOURGLASS_SANITIZED)
  __asan_poison_memory_region(mapping_, kMaxDynamic);
  __asan_unpoison_memory_region(dynamic_, dynamic_bytes);
#endif
}

void SharedMemory::poison(uint8_t byte) {
  std::memset(dynamic_, byte, dynamic_bytes_);
  for (const SharedVariable& variable : *variables_) {
    std::memset(thread_locals_ + variable.offset, byte, variable.bytes);
  }
}

void SharedMemory::save(std::vector<unsigned char>& contents) const {
  contents.assign(dynamic_, dynamic_ + dynamic_bytes_);
  for (const SharedVariable& variable : *variables_) {
    const char* const from = thread_locals_ + variable.offset;
    contents.insert(contents.end(), from, from + variable.bytes);
  }
}

void SharedMemory::restore(const std::vector<unsigned char>& contents) {
  const unsigned char* from = contents.data();
  std::memcpy(dynamic_, from, dynamic_bytes_);
  from += dynamic_bytes_;
  for (const SharedVariable& variable : *variables_) {
    std::memcpy(thread_locals_ + variable.offset, from, variable.bytes);
    from += variable.bytes;
  }
}

SharedMemory::Range SharedMemory::dynamic_mapping() const {
  return {reinterpret_cast<uintptr_t>(mapping_), kMaxDynamic + kPage};
}
SharedMemory::Range SharedMemory::thread_locals() const {
  return {reinterpret_cast<uintptr_t>(thread_locals_), thread_local_bytes_};
}

SharedMemory::Array SharedMemory::array_before(uintptr_t address) const {
  const auto base = reinterpret_cast<uintptr_t>(thread_locals_);
  const SharedVariable* found = nullptr;
  for (const SharedVariable& variable : *variables_) {
    if (base + variable.offset <= address && (!found || variable.offset > found->offset)) found = &variable;
  }
  if (!found) return {base, 0, nullptr};
  return {base + found->offset, found->bytes, &found->symbol};
}

bool SharedMemory::is_guard(uintptr_t address) const {
  return SymbolTable::of_executable().is_guard(address - reinterpret_cast<uintptr_t>(thread_locals_));
}

std::string SharedMemory::name_of(const Array& array) {
  if (!array.symbol) return "(none: a variable of the host)";
  const std::string name = demangled(*array.symbol);
  return name.substr(name.rfind(':') + 1);
}

void SharedMemory::for_each_array(const std::function<void(size_t, size_t)>& f) const {
  for (const SharedVariable& variable : *variables_) f(variable.offset, variable.bytes);
}

}  // namespace simt
