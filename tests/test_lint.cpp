// SPDX-License-Identifier: Apache-2.0
// The house rules that a machine can keep, read from the source tree. Each rule is a function of (path, text) that
// returns what is wrong; RuleFindsWhatItForbids holds each one to an example that it must refuse.
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <map>
#include <regex>
#include <set>
#include <sstream>
#include <string>
#include <vector>

namespace {

namespace fs = std::filesystem;
using Findings = std::vector<std::string>;

const fs::path kRoot = HOURGLASS_SOURCE_DIR;
constexpr size_t kMaxLines = 400;

bool starts_with(const std::string& text, const std::string& prefix) { return text.rfind(prefix, 0) == 0; }

std::string extension(const std::string& path) { return fs::path(path).extension().string(); }
bool is_header(const std::string& path) { return extension(path) == ".h" || extension(path) == ".cuh"; }
bool is_code(const std::string& path) {
  return is_header(path) || extension(path) == ".cpp" || extension(path) == ".cu" || extension(path) == ".in";
}
bool is_library(const std::string& path) {
  return is_code(path) &&
         (starts_with(path, "kernels/") || starts_with(path, "engine/") || starts_with(path, "models/"));
}

/// Comments become spaces, and with `strings` the insides of string and character literals too. Line breaks stay, so
/// that line numbers hold.
std::string without_comments(const std::string& text, bool strings) {
  std::string out = text;
  const auto blank = [&out](size_t from, size_t to) {
    for (size_t i = from; i < std::min(to, out.size()); ++i) out[i] = out[i] == '\n' ? '\n' : ' ';
  };
  for (size_t i = 0; i < text.size();) {
    const std::string two = text.substr(i, 2);
    if (two == "//" || two == "/*") {
      size_t end = two == "//" ? text.find('\n', i) : text.find("*/", i + 2);
      end = end == std::string::npos ? text.size() : end + (two == "//" ? 0 : 2);
      blank(i, end);
      i = end;
    } else if (two == "R\"") {
      const std::string close = ")" + text.substr(i + 2, text.find('(', i) - i - 2) + "\"";
      const size_t end = std::min(text.find(close, i), text.size());
      if (strings) blank(i + 2, end);
      i = end + close.size();
    } else if (text[i] == '"' ||
               (text[i] == '\'' && (i == 0 || !std::isalnum(static_cast<unsigned char>(text[i - 1]))))) {
      size_t end = i + 1;
      while (end < text.size() && text[end] != text[i] && text[end] != '\n') end += text[end] == '\\' ? 2 : 1;
      if (strings) blank(i + 1, end);
      i = end + 1;
    } else {
      ++i;
    }
  }
  return out;
}

std::string code_of(const std::string& text) { return without_comments(text, true); }

std::string at_line(const std::string& text, size_t position) {
  return std::to_string(1 + std::count(text.begin(), text.begin() + static_cast<std::ptrdiff_t>(position), '\n')) +
         ": ";
}

/// "<line>: <message><match>" for every match of `pattern`.
Findings matches(const std::string& text, const std::string& pattern, const std::string& message) {
  Findings findings;
  const std::regex regex(pattern);
  for (std::sregex_iterator match(text.begin(), text.end(), regex), end; match != end; ++match) {
    findings.push_back(at_line(text, static_cast<size_t>(match->position())) + message + match->str());
  }
  return findings;
}

struct Include {
  std::string name, where;
  bool quoted;
};

std::vector<Include> includes(const std::string& text) {
  std::vector<Include> found;
  const std::string code = without_comments(text, false);
  const std::regex regex(R"re((^|\n)[ \t]*#[ \t]*include[ \t]*(["<])([^">]+)[">])re");
  for (std::sregex_iterator match(code.begin(), code.end(), regex), end; match != end; ++match) {
    found.push_back({(*match)[3], at_line(code, static_cast<size_t>(match->position(3))), (*match)[2] == "\""});
  }
  return found;
}

// ---------------------------------------------------------------- the rules

Findings spdx(const std::string&, const std::string& text) {
  std::istringstream lines(text);
  std::string line;
  std::getline(lines, line);
  if (starts_with(line, "#!")) std::getline(lines, line);
  const std::string tag = std::string("SPDX-License") + "-Identifier: Apache-2.0";
  return line == "// " + tag || line == "# " + tag ? Findings{} : Findings{"1: the first line is not the SPDX line"};
}

Findings length(const std::string&, const std::string& text) {
  const auto lines = static_cast<size_t>(std::count(text.begin(), text.end(), '\n'));
  if (lines <= kMaxLines) return {};
  return {std::to_string(lines) + " lines: expected at most " + std::to_string(kMaxLines)};
}

Findings direction(const std::string& path, const std::string& text) {
  static const std::vector<std::string> order = {"kernels", "engine", "models", "apps"};
  const auto rank = [](const std::string& file) {
    const auto found = std::find(order.begin(), order.end(), file.substr(0, file.find('/')));
    return static_cast<size_t>(found - order.begin());
  };
  if (!is_code(path) || rank(path) == order.size()) return {};
  Findings findings;
  for (const Include& include : includes(text)) {
    const bool ours = include.quoted && (rank(include.name) < order.size() || starts_with(include.name, "tests/") ||
                                         starts_with(include.name, "benchmarks/"));
    if (ours && rank(include.name) > rank(path)) {
      findings.push_back(include.where + order[rank(path)] + "/ may not include " + include.name);
    }
  }
  return findings;
}

Findings rooted_includes(const std::string& path, const std::string& text) {
  if (!is_code(path) || starts_with(path, "tests/consumer/")) return {};
  Findings findings;
  for (const Include& include : includes(text)) {
    if (include.quoted && !fs::exists(kRoot / include.name)) {
      findings.push_back(include.where + "no " + include.name + " below the root of the repository");
    }
  }
  return findings;
}

/// Heavy or foreign headers are each read by one translation unit; public headers need none of them.
Findings third_party(const std::string& path, const std::string& text) {
  struct Owner {
    std::string pattern, files;
  };
  static const std::vector<Owner> owners = {
      {"CLI/.*", "apps/command_line\\.cpp"},
      {"nlohmann/.*", "engine/io/json\\.cpp"},
      {"png\\.h", "engine/io/png\\.cpp"},
      {"zlib\\.h", "engine/io/\\w+\\.cpp"},
      {".*(dnnl|oneapi).*", "kernels/\\w*onednn\\w*\\.cpp"},
      {".*(cuda|cublas|nvtx|cudnn).*", "kernels/(.*\\.(cu|cuh)|base/cuda_check\\.h)"}};
  if (!is_code(path) || (!is_library(path) && !starts_with(path, "apps/"))) return {};
  Findings findings;
  for (const Include& include : includes(text)) {
    for (const Owner& owner : owners) {
      if (!include.quoted && std::regex_match(include.name, std::regex(owner.pattern)) &&
          !std::regex_match(path, std::regex(owner.files))) {
        findings.push_back(include.where + "<" + include.name + "> belongs to " + owner.files + " only");
      }
    }
  }
  return findings;
}

/// A recorded closure outlives its function: it names what it captures. Closures that it calls at once inside its own
/// body (dispatch) may capture by reference, so only direct arguments of the call are looked at.
Findings captures(const std::string& path, const std::string& text) {
  if (!is_code(path)) return {};
  const std::string code = code_of(text);
  Findings findings;
  const std::regex call(R"(\bon_(backward|commit|loss)\s*\()"), by_default(R"(\[\s*[&=]\s*[\],])");
  for (std::sregex_iterator match(code.begin(), code.end(), call), end; match != end; ++match) {
    auto at = code.begin() + match->position() + match->length();
    for (int depth = 1; at != code.end() && depth > 0; ++at) {
      if (depth == 1 && *at == '[' &&
          std::regex_search(at, code.end(), by_default, std::regex_constants::match_continuous)) {
        findings.push_back(at_line(code, static_cast<size_t>(at - code.begin())) + "captures with [&] or [=]");
      }
      depth += *at == '(' || *at == '{' ? 1 : *at == ')' || *at == '}' ? -1 : 0;
    }
  }
  return findings;
}

Findings headers(const std::string& path, const std::string& text) {
  if (!is_header(path)) return {};
  Findings findings = matches(code_of(text), R"(\busing\s+namespace\b)", "in a header: ");
  if (text.find("#pragma once") == std::string::npos) findings.push_back("1: a header without #pragma once");
  return findings;
}

Findings launches(const std::string& path, const std::string& text) {
  if (!is_code(path)) return {};
  return matches(code_of(text), "<<<", "launch kernels by gpu::launch, not ");
}

Findings assembly(const std::string& path, const std::string& text) {
  // The emulator switches stacks; one multiplication of x86 is not found by g++. Neither is a kernel.
  const bool host = path.rfind("tests/simt/", 0) == 0 || path == "kernels/base/normal_rows.cpp";
  const bool wrapper =
      path == "kernels/base/gpu.cuh" || path == "kernels/base/mma.cuh" || path == "kernels/base/hopper.cuh";
  if (!is_code(path) || host || wrapper) return {};
  return matches(code_of(text), R"(\b(asm|__asm__|__asm)\b)",
                 "assembly stays inside gpu.cuh, mma.cuh and hopper.cuh: ");
}

/// The library never prints, exits or sets global state: those are the program's.
Findings quiet_library(const std::string& path, const std::string& text) {
  if (!is_library(path)) return {};
  const std::string printing = R"(std::(cout|cerr|clog)\b|\b(v?f?printf|puts|fputs|perror)\s*\()";
  const std::string leaving = R"(\b(std::|::)(_?exit|quick_exit|abort|terminate)\s*\(|[;{})]\s*(_?exit|abort)\s*\()";
  const std::string global = R"(\b(setenv|putenv|setlocale|signal|sigaction|srand|umask|chdir)\s*\()";
  return matches(code_of(text), printing + "|" + leaving + "|" + global, "the library does not print, exit or set: ");
}

Findings unfinished(const std::string&, const std::string& text) {
  return matches(text, std::string(R"(\b(TO)") + R"(DO|FIX)" + R"(ME|XX)" + R"(X)\b)", "finish it or leave it out: ");
}

Findings names(const std::string& path, const std::string& text) {
  if (!is_code(path)) return {};
  return matches(code_of(text), R"(\b\w+_(v[0-9]|fast|optimized|new|old|tmp)_?\b)", "name the technique: ");
}

Findings machine_paths(const std::string&, const std::string& text) {
  // Written in pieces, so that this file keeps the rule too.
  const std::string folders = std::string("/(wo") + "rk|ro" + "ot|ho" + "me|mn" + "t|Use" + "rs)";
  return matches(text, "(^|[^\\w.}/>])" + folders + "/[\\w.]+", "a path of one machine: ");
}

Findings layout(const std::string&, const std::string& text) {
  Findings findings = matches(text, "\t", "a tab");
  const Findings spaces = matches(text, " +\n", "spaces at the end of a line");
  findings.insert(findings.end(), spaces.begin(), spaces.end());
  if (!text.empty() && text.back() != '\n') findings.push_back("no line break at the end");
  return findings;
}

// ---------------------------------------------------------------- the tree

struct File {
  std::string path, text;
};

std::string read(const fs::path& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
}

/// The files under the folders of the design, and the documents beside them, by path.
const std::vector<File>& tree() {
  static const std::vector<File> files = [] {
    std::vector<File> found;
    const auto add = [&found](const fs::path& path) {
      if (fs::is_regular_file(path)) found.push_back({path.lexically_relative(kRoot).generic_string(), read(path)});
    };
    for (const auto& entry : fs::directory_iterator(kRoot)) add(entry.path());
    for (const char* folder :
         {"kernels", "engine", "models", "apps", "tests", "benchmarks", "cmake", "scripts", "docs", ".ci"}) {
      if (!fs::is_directory(kRoot / folder)) continue;
      for (const auto& entry : fs::recursive_directory_iterator(kRoot / folder)) add(entry.path());
    }
    std::sort(found.begin(), found.end(), [](const File& a, const File& b) { return a.path < b.path; });
    return found;
  }();
  return files;
}

bool is_source(const std::string& path) {
  static const std::set<std::string> endings = {".cmake", ".sh", ".py", ".awk"};
  const std::string name = fs::path(path).filename().string();
  return is_code(path) || endings.count(extension(path)) > 0 || name == "CMakeLists.txt" || path == ".ci/run";
}
bool is_document(const std::string& path) {
  static const std::set<std::string> endings = {".md", ".json", ".toml"};
  return endings.count(extension(path)) > 0;
}

using Rule = Findings (*)(const std::string& path, const std::string& text);

/// A rule, and an example (path and text) that it must refuse.
struct RuleCase {
  const char* name;
  Rule rule;
  const char* bad_path;
  const char* bad_text;
};

const RuleCase kRules[] = {
    {"Spdx", spdx, "kernels/a.h", "#pragma once\n"},
    {"Length", length, "kernels/a.cpp", ""},
    {"Direction", direction, "kernels/a.h", "#include \"engine/tape.h\"\n"},
    {"RootedIncludes", rooted_includes, "kernels/a.cpp", "#include \"no_such_file.h\"\n"},
    {"ThirdParty", third_party, "engine/a.h", "#include <nlohmann/json.hpp>\n"},
    {"Captures", captures, "engine/ops/a.cpp", "tape.on_backward(\"a\", {x},\n  [&](Pass& p) { f(p); });\n"},
    {"Headers", headers, "kernels/a.h", "#pragma once\nusing namespace std;\n"},
    {"Launches", launches, "kernels/a.cu", "f_kernel<<<1, 32>>>(x);\n"},
    {"Assembly", assembly, "kernels/a.cu", "asm volatile(\"nop\");\n"},
    {"QuietLibrary", quiet_library, "engine/a.cpp", "std::cout << 1;\n"},
    {"Unfinished", unfinished, "engine/a.cpp",
     "// TO"
     "DO: all of it\n"},
    {"Names", names, "kernels/a.cpp", "void gemm_fast();\n"},
    {"MachinePaths", machine_paths, "docs/a.sh",
     "cd /ho"
     "me/somebody\n"},
    {"Layout", layout, "kernels/a.cpp", "int a; \n"},
};

void PrintTo(const RuleCase& rule, std::ostream* out) { *out << rule.name; }

class Lint : public testing::TestWithParam<RuleCase> {};

TEST_P(Lint, TreeKeepsTheRule) {
  std::string report;
  const bool documents_too = GetParam().rule == machine_paths || GetParam().rule == unfinished;
  for (const File& file : tree()) {
    if (!is_source(file.path) && !(documents_too && is_document(file.path))) continue;
    for (const std::string& finding : GetParam().rule(file.path, file.text)) report += file.path + ":" + finding + "\n";
  }
  EXPECT_TRUE(report.empty()) << report;
}

TEST_P(Lint, RuleFindsWhatItForbids) {
  const std::string text = GetParam().rule == length ? std::string(kMaxLines + 1, '\n') : GetParam().bad_text;
  EXPECT_FALSE(GetParam().rule(GetParam().bad_path, text).empty());
}

INSTANTIATE_TEST_SUITE_P(Rules, Lint, testing::ValuesIn(kRules), [](const auto& info) { return info.param.name; });

TEST(Tree, IsFound) {
  const auto has = [](const std::string& path) {
    return std::any_of(tree().begin(), tree().end(), [&](const File& file) { return file.path == path; });
  };
  EXPECT_TRUE(has("kernels/gemm.h") && has("README.md") && has(".ci/run") && has("engine/CMakeLists.txt"));
}

TEST(Tree, CommentsAndStringsAreNotCode) {
  EXPECT_EQ(code_of("a; // b <<<\n/* c\n */ d = \"<<<\\\"\";"), "a;         \n    \n    d = \"     \";");
  EXPECT_EQ(code_of("1'000 + f('\"') + \"x\""), "1'000 + f(' ') + \" \"");
}

TEST(Kernels, HaveCasesTestAndBenchmark) {
  std::string report;
  for (const auto& entry : fs::directory_iterator(kRoot / "kernels")) {
    if (entry.path().extension() != ".h") continue;
    const std::string op = entry.path().stem().string();
    for (const std::string& file :
         {"tests/cases/" + op + ".h", "tests/test_" + op + ".cpp", "benchmarks/bench_" + op + ".cpp"}) {
      if (!fs::exists(kRoot / file)) report += "kernels/" + op + ".h has no " + file + "\n";
    }
  }
  EXPECT_TRUE(report.empty()) << report;
}

/// Whether CMake text names a test or benchmark: a script by its file, a program by what stands after the prefix.
bool is_built(const std::string& file, const std::string& prefix, const std::string& cmake) {
  const std::string ending = extension(file);
  if (!starts_with(file, prefix) || (ending != ".cpp" && ending != ".cu" && ending != ".sh")) return true;
  const std::string name = ending == ".sh" ? file : fs::path(file).stem().string().substr(prefix.size());
  const std::string commands = std::regex_replace(cmake, std::regex("#.*"), "");
  return std::regex_search(commands, std::regex("\\b(" + prefix + ")?" + name + "\\b"));
}

/// A test or benchmark that CMake does not build would never fail.
TEST(Tree, EveryTestAndBenchmarkIsBuilt) {
  std::string report;
  const std::map<std::string, std::string> prefixes = {{"tests", "test_"}, {"benchmarks", "bench_"}};
  for (const auto& [folder, prefix] : prefixes) {
    const std::string cmake = read(kRoot / folder / "CMakeLists.txt") + read(kRoot / folder / "ptx.cmake");
    for (const auto& entry : fs::directory_iterator(kRoot / folder)) {
      const std::string file = entry.path().filename().string();
      if (!is_built(file, prefix, cmake)) report += folder + "/CMakeLists.txt lacks " + file + "\n";
    }
  }
  EXPECT_TRUE(report.empty()) << report;
}

TEST(Tree, AProgramOrScriptThatIsNotBuiltIsFound) {
  const std::string cmake =
      "hourglass_tests(cuda library gpu)  # nor cpu\nadd_test(NAME run COMMAND ${HERE}/test_run.sh)\n";
  for (const char* built : {"test_gpu.cpp", "test_gpu.cu", "test_run.sh", "harness.h", "model_runs.cpp"}) {
    EXPECT_TRUE(is_built(built, "test_", cmake)) << built;
  }
  for (const char* missing : {"test_cpu.cpp", "test_cpu.cu", "test_cpu.sh", "test_gpu.sh"}) {
    EXPECT_FALSE(is_built(missing, "test_", cmake)) << missing;
  }
}

}  // namespace
