// SPDX-License-Identifier: Apache-2.0
// The real program as a child process: its exit code and its two streams, and signals sent to it.
#pragma once

#include <fcntl.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <stdexcept>
#include <string>
#include <vector>

#include "engine/io/files.h"

namespace hourglass::test {

/// A running hourglass whose streams go to files in `folder`. Killed, if still there, when this object goes.
class Program {
 public:
  /// `environment`: "NAME=value", in addition to what this process has.
  Program(const std::filesystem::path& folder, const std::vector<std::string>& words,
          const std::vector<std::string>& environment = {})
      : out_(folder / "stdout.txt"), err_(folder / "stderr.txt") {
    std::vector<const char*> argv{HOURGLASS_PROGRAM};
    for (const std::string& word : words) argv.push_back(word.c_str());
    argv.push_back(nullptr);
    std::vector<const char*> environ_of_child;
    for (const std::string& variable : environment) environ_of_child.push_back(variable.c_str());
    for (char** variable = environ; *variable; ++variable) environ_of_child.push_back(*variable);
    environ_of_child.push_back(nullptr);
    pid_ = fork();
    if (pid_ < 0) throw std::runtime_error("fork failed");
    if (pid_ > 0) return;
    for (const auto& [path, stream] : {std::pair{out_.c_str(), STDOUT_FILENO}, {err_.c_str(), STDERR_FILENO}}) {
      const int file = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0644);
      if (file < 0 || dup2(file, stream) < 0) _exit(126);
    }
    execve(HOURGLASS_PROGRAM, const_cast<char* const*>(argv.data()), const_cast<char* const*>(environ_of_child.data()));
    _exit(127);
  }
  ~Program() {
    if (pid_ <= 0) return;
    signal(SIGKILL);
    wait();
  }
  Program(const Program&) = delete;
  Program& operator=(const Program&) = delete;

  void signal(int number) const { kill(pid_, number); }

  /// The exit code as a shell sees it: 128 + number for a signal.
  int wait() {
    int status = 0;
    waitpid(pid_, &status, 0);
    pid_ = -1;
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
  }
  bool ended() const {
    siginfo_t info = {};
    return waitid(P_PID, static_cast<id_t>(pid_), &info, WEXITED | WNOHANG | WNOWAIT) == 0 && info.si_pid == pid_;
  }

  std::string out() const { return read_text_file(out_); }
  std::string err() const { return read_text_file(err_); }

 private:
  std::filesystem::path out_, err_;
  pid_t pid_ = -1;
};

struct Outcome {
  int exit = 0;
  std::string out, err;
};

inline Outcome run_program(const std::filesystem::path& folder, const std::vector<std::string>& words,
                           const std::vector<std::string>& environment = {}) {
  Program program(folder, words, environment);
  const int exit = program.wait();
  return {exit, program.out(), program.err()};
}

}  // namespace hourglass::test
