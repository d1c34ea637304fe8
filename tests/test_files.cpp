// SPDX-License-Identifier: Apache-2.0
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <fstream>

#include "engine/io/checksum.h"
#include "engine/io/files.h"
#include "engine/sample_file.h"
#include "tests/file_checks.h"

namespace hourglass {
namespace {

namespace fs = std::filesystem;
using test::expect_error;
using test::TemporaryFolder;

/// Runs f in a child process; its exit code: 0 if f returned, the Error's otherwise.
int exit_code_of_child(const std::function<void()>& f) {
  const pid_t child = fork();
  if (child == 0) {
    int code = 0;
    try {
      f();
    } catch (const Error& error) {
      code = error.exit_code();
    } catch (...) {
      code = 99;
    }
    _exit(code);
  }
  int status = 0;
  waitpid(child, &status, 0);
  return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

TEST(Files, ReadsWhatWasWritten) {
  const TemporaryFolder folder;
  const Bytes bytes = {0, 1, 2, 255};
  write_file_atomic(folder / "a", bytes);
  EXPECT_EQ(read_file(folder / "a"), bytes);
  write_file_atomic(folder / "a", "text\n");
  EXPECT_EQ(read_text_file(folder / "a"), "text\n");
  write_file_atomic(folder / "a", "");
  EXPECT_TRUE(read_file(folder / "a").empty());
  EXPECT_EQ(folder.entries(), 1u);
}

/// 0 is a descriptor as any other: the program may have been started without an input.
TEST(Files, WritesWithoutStandardInput) {
  const TemporaryFolder folder;
  EXPECT_EQ(exit_code_of_child([&] {
              close(0);
              write_file_atomic(folder / "a", "text");
            }),
            0);
  EXPECT_EQ(read_text_file(folder / "a"), "text");
}

TEST(Files, RefusesWhatIsNoFile) {
  const TemporaryFolder folder;
  const std::string missing = (folder / "missing").string();
  expect_error([&] { read_file(missing); }, Exit::kData, {missing.c_str(), "cannot open", "No such file"});
  expect_error([&] { read_file(missing, Exit::kCheckpoint); }, Exit::kCheckpoint, {missing.c_str()});
  expect_error([&] { read_file(folder.path()); }, Exit::kData, {folder.path().string().c_str(), "folder"});
  const fs::path pipe = folder / "pipe";
  ASSERT_EQ(mkfifo(pipe.c_str(), 0600), 0);
  expect_error([&] { read_file(pipe); }, Exit::kData, {pipe.string().c_str(), "not a regular file"});
  write_file_atomic(folder / "five", "12345");
  EXPECT_EQ(read_file(folder / "five", Exit::kData, 5).size(), 5u);
  expect_error([&] { read_file(folder / "five", Exit::kData, 4); }, Exit::kData, {"five", "at most 4", "has 5"});
}

TEST(Files, AtomicFileKeepsTheOldContentUntilCommit) {
  const TemporaryFolder folder;
  write_file_atomic(folder / "a", "old");
  {
    AtomicFile file(folder / "a");
    file.write("new", 3);
    EXPECT_EQ(read_text_file(folder / "a"), "old");
    EXPECT_EQ(folder.entries(), 2u);
  }
  EXPECT_EQ(read_text_file(folder / "a"), "old");
  EXPECT_EQ(folder.entries(), 1u) << "the temporary file of an abandoned write is left";
  AtomicFile file(folder / "a");
  file.write("new", 3);
  file.commit();
  EXPECT_EQ(read_text_file(folder / "a"), "new");
  EXPECT_EQ(folder.entries(), 1u);
  expect_error([&] { file.write("x", 1); }, Exit::kInternal, {"after its end"});
}

TEST(Files, WritingNamesPathAndReason) {
  const TemporaryFolder folder;
  const fs::path nowhere = folder / "none" / "a";
  expect_error([&] { write_file_atomic(nowhere, "x"); }, Exit::kIo, {nowhere.string().c_str(), "No such file"});
  fs::create_directory(folder / "taken");
  expect_error([&] { write_file_atomic(folder / "taken", "x"); }, Exit::kIo, {"taken", "cannot replace", "directory"});
  EXPECT_EQ(folder.entries(), 1u);
}

TEST(Files, FailedWriteLeavesTheOldFileAndNoTemporary) {
  const TemporaryFolder folder;
  write_file_atomic(folder / "a", "old");
  const int code = exit_code_of_child([&] {
    signal(SIGXFSZ, SIG_IGN);
    const rlimit limit{4096, 4096};
    setrlimit(RLIMIT_FSIZE, &limit);
    write_file_atomic(folder / "a", std::string(1 << 20, 'x'));
  });
  EXPECT_EQ(code, 5);
  EXPECT_EQ(read_text_file(folder / "a"), "old");
  EXPECT_EQ(folder.entries(), 1u);
}

TEST(Files, ModeIsThatAskedFor) {
  const TemporaryFolder folder;
  write_file_atomic(folder / "a", "x", 0600);
  EXPECT_EQ(fs::status(folder / "a").permissions(), fs::perms::owner_read | fs::perms::owner_write);
}

/// Containers that share a folder have equal pids: here both writers have the same one.
TEST(Files, TwoWritersOfOneFileDoNotDisturbEachOther) {
  const TemporaryFolder folder;
  AtomicFile first(folder / "a"), second(folder / "a");
  EXPECT_EQ(folder.entries(), 2u);
  first.write("first", 5);
  second.write("second", 6);
  first.commit();
  EXPECT_EQ(read_text_file(folder / "a"), "first");
  second.commit();
  EXPECT_EQ(read_text_file(folder / "a"), "second");
  EXPECT_EQ(folder.entries(), 1u);
}

TEST(Files, WhatAKilledWriterLeavesIsRemoved) {
  const TemporaryFolder folder;
  EXPECT_EQ(exit_code_of_child([&] {
              AtomicFile file(folder / "a");
              _exit(9);
            }),
            9);
  EXPECT_EQ(folder.entries(), 1u);
  EXPECT_EQ(remove_temporary_files(folder.path()), 1);
}

TEST(Files, RemovesLeftoversOnly) {
  const TemporaryFolder folder;
  for (const char* name : {"a", "a.tmp-12", "b.safetensors.tmp-7", "tmp-12", "a.tmp-", "a.tmp-1x", "a.tmp-1.png"}) {
    write_file_atomic(folder / name, "x");
  }
  EXPECT_EQ(remove_temporary_files(folder.path()), 2);
  EXPECT_EQ(list_files(folder.path()), (std::vector<std::string>{"a", "a.tmp-", "a.tmp-1.png", "a.tmp-1x", "tmp-12"}));
  expect_error([&] { remove_temporary_files(folder / "none"); }, Exit::kIo, {"none"});
}

TEST(Files, AppendsLines) {
  const TemporaryFolder folder;
  {
    AppendFile file(folder / "log");
    file.append("one");
    file.append("two");
    file.sync();
  }
  AppendFile(folder / "log").append("three");
  EXPECT_EQ(read_text_file(folder / "log"), "one\ntwo\nthree\n");
  AppendFile full("/dev/full");
  expect_error([&] { full.append("x"); }, Exit::kIo, {"/dev/full", "No space left"});
}

TEST(Files, LockKeepsASecondHolderOut) {
  const TemporaryFolder folder;
  const fs::path path = folder / "lock";
  {
    const FileLock lock(path);
    EXPECT_EQ(read_text_file(path), std::to_string(getpid()) + "\n");
    expect_error([&] { FileLock second(path); }, Exit::kIo,
                 {path.string().c_str(), "locked", std::to_string(getpid()).c_str()});
    EXPECT_EQ(exit_code_of_child([&] { FileLock second(path); }), 5);
  }
  EXPECT_EQ(exit_code_of_child([&] { FileLock next(path); }), 0);
  const pid_t child = fork();
  if (child == 0) {
    const FileLock held(path);
    write_file_atomic(folder / "ready", "x");
    sleep(60);
    _exit(0);
  }
  for (int waited_ms = 0; !fs::exists(folder / "ready"); ++waited_ms) {
    ASSERT_LT(waited_ms, 20000) << "the child never took the lock";
    usleep(1000);
  }
  expect_error([&] { FileLock second(path); }, Exit::kIo, {path.string().c_str(), std::to_string(child).c_str()});
  kill(child, SIGKILL);
  waitpid(child, nullptr, 0);
  const FileLock after_a_kill(path);
}

TEST(Files, ListsInByteOrder) {
  const TemporaryFolder folder;
  for (const char* name : {"b/2.png", "b/10.png", "B.png", "a.png", "b-.png", "\xc3\xa9.png"}) {
    make_folders((folder / name).parent_path());
    write_file_atomic(folder / name, "x");
  }
  EXPECT_EQ(list_files(folder.path()),
            (std::vector<std::string>{"B.png", "a.png", "b-.png", "b/10.png", "b/2.png", "\xc3\xa9.png"}));
  expect_error([&] { list_files(folder / "none"); }, Exit::kData, {"none", "No such file"});
}

TEST(Files, ListsWhatLinksLeadToWithoutGoingInCircles) {
  const TemporaryFolder folder, elsewhere;
  for (const char* name : {"a", "b"}) make_folders(folder / name);
  write_file_atomic(elsewhere / "1.png", "x");
  fs::create_directory_symlink(elsewhere.path(), folder / "c");
  fs::create_directory_symlink(folder.path(), folder / "a" / "root");
  fs::create_directory_symlink(folder / "a", folder / "b" / "to-a");
  fs::create_directory_symlink(folder / "b", folder / "a" / "to-b");
  fs::create_symlink(elsewhere / "1.png", folder / "2.png");
  fs::create_symlink(folder / "gone", folder / "a" / "broken.png");
  fs::create_symlink("itself.png", folder / "itself.png");
  ASSERT_EQ(mkfifo((folder / "pipe.png").c_str(), 0600), 0);
  EXPECT_EQ(list_files(folder.path()),
            (std::vector<std::string>{"2.png", "a/broken.png", "b/to-a/broken.png", "c/1.png", "itself.png"}))
      << "a link that leads nowhere is for the reader to refuse";
}

TEST(Files, ListingNamesTheFolderThatCannotBeRead) {
  const TemporaryFolder folder;
  make_folders(folder / "a" / "closed");
  fs::permissions(folder.path(), fs::perms::all);
  fs::permissions(folder / "a" / "closed", fs::perms::none);
  const uid_t user = geteuid();
  ASSERT_EQ(seteuid(user == 0 ? 65534 : user), 0);
  expect_error([&] { list_files(folder.path()); }, Exit::kData, {"a/closed: cannot list the folder", "denied"});
  ASSERT_EQ(seteuid(user), 0);
  fs::permissions(folder / "a" / "closed", fs::perms::all);
}

/// Rows where they are wanted; a file that shrinks, and one that cannot be read, are errors and no endless wait.
TEST(SampleFile, ReadsRowsOrSaysWhyNot) {
  const TemporaryFolder folder;
  write_file_atomic(folder / "rows", "aabbccdd");
  const SampleFile file(folder / "rows", 4, 2);
  std::string rows(4, '?');
  file.read(1, 2, rows.data());
  EXPECT_EQ(rows, "bbcc");
  EXPECT_EQ(file.rows(), 4);
  expect_error([&] { file.read(3, 2, rows.data()); }, Exit::kData, {"rows", "shorter"});
  expect_error([&] { SampleFile(folder / "none", 1, 1); }, Exit::kData, {"none", "cannot open", "No such file"});
  const SampleFile directory(folder.path(), 1, 2);
  expect_error([&] { directory.read(0, 1, rows.data()); }, Exit::kData, {"cannot read", "Is a directory"});
}

TEST(Checksum, KnownAnswers) {
  EXPECT_EQ(crc32c("123456789", 9), 0xE3069283u);
  EXPECT_EQ(crc32c("", 0), 0u);
  const std::vector<uint8_t> zeros(32, 0);  // RFC 3720, B.4
  EXPECT_EQ(crc32c(zeros.data(), zeros.size()), 0x8A9136AAu);
  EXPECT_EQ(crc32c("6789", 4, crc32c("12345", 5)), 0xE3069283u);
  const std::string text = "abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq";  // FIPS 180-4 examples
  const auto hash = [](const std::string& s) { return sha256({reinterpret_cast<const uint8_t*>(s.data()), s.size()}); };
  EXPECT_EQ(hash(""), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  EXPECT_EQ(hash("abc"), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  EXPECT_EQ(hash(text), "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1");
  EXPECT_EQ(hash(std::string(1000000, 'a')), "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
}

}  // namespace
}  // namespace hourglass
