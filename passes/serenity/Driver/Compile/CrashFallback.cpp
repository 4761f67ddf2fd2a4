// Part of serenity_mlir, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

#include "serenity/Driver/Compile/CrashFallback.h"

#include "serenity/Driver/Compile/InputCopy.h"

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <climits>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <dlfcn.h>
#include <fcntl.h>
#include <pthread.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <thread>
#include <unistd.h>

extern char **environ;

namespace serenity {

namespace {

/// `STAGE:SIGNAL:DESCRIPTOR:STEP`, from one process to the one that takes its
/// place; the descriptor is that of the input's copy, or -1.
constexpr char variable[] = "SERENITY_CRASHED";

constexpr int fatalSignals[] = {SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGABRT};
constexpr size_t numSignals = sizeof(fatalSignals) / sizeof(*fatalSignals);

/// The data of the handler, ready before anything goes wrong: it may not
/// allocate.
struct Fallback {
  bool ready = false;
  FallbackStage stage = FallbackStage::None;
  char program[PATH_MAX] = {};
  std::vector<std::string> command;
  std::vector<char *> arguments;
  std::vector<char *> environment;
  /// The last entry of `environment`.
  char message[512] = {};
  char step[400] = {};
  int guards = 0;
  bool armed = false;
  struct sigaction outer[numSignals] = {};
  sigset_t mask = {};
  /// Standard input is set back to here; -1 where it is not read.
  off_t inputOffset = -1;
  /// The copy of an input that can be read only once; -1 without one.
  int inputCopy = -1;
  int standardError = -1;
  std::atomic<int> signal{0};
};

Fallback &fallback() {
  static Fallback instance;
  return instance;
}

/// Appends to a buffer, as far as there is room. Async-signal-safe.
struct Text {
  char *at;
  char *end; // of the room, without the terminating zero
  void add(const char *text) {
    while (*text && at < end) {
      *at++ = *text++;
    }
    *at = 0;
  }
  void add(int number) {
    char digits[12];
    char *first = digits + sizeof(digits) - 1;
    *first = 0;
    if (number < 0) {
      add("-");
      number = -number;
    }
    do {
      *--first = char('0' + number % 10);
      number /= 10;
    } while (number > 0);
    add(first);
  }
};

/// Replaces the process. Async-signal-safe; returns if that is impossible.
void runAgain() {
  Fallback &state = fallback();
  FallbackStage next = state.stage == FallbackStage::None
                           ? FallbackStage::Off
                           : FallbackStage::Plain;
  Text text{state.message, state.message + sizeof(state.message) - 1};
  text.add(variable);
  text.add("=");
  text.add(int(next));
  text.add(":");
  text.add(state.signal.load());
  text.add(":");
  text.add(state.inputCopy);
  text.add(":");
  text.add(state.step);
  if (state.inputOffset >= 0) {
    lseek(STDIN_FILENO, state.inputOffset, SEEK_SET);
  }
  // It may lead nowhere while candidates are compiled.
  dup2(state.standardError, STDERR_FILENO);
  pthread_sigmask(SIG_SETMASK, &state.mask, nullptr);
  execve(state.program, state.arguments.data(), state.environment.data());
}

/// As if the signal had not been caught.
[[noreturn]] void dieOf(int signal) {
  std::signal(signal, SIG_DFL);
  sigset_t unblocked;
  sigemptyset(&unblocked);
  sigaddset(&unblocked, signal);
  pthread_sigmask(SIG_UNBLOCK, &unblocked, nullptr);
  raise(signal);
  _exit(128 + signal);
}

void handle(int signal) {
  Fallback &state = fallback();
  int none = 0;
  if (!state.signal.compare_exchange_strong(none, signal)) {
    for (;;) {
      pause(); // another thread replaces the process
    }
  }
  // A second crash on the way ends the process.
  for (int fatal : fatalSignals) {
    std::signal(fatal, SIG_DFL);
  }
  // LLVM's handler of SIGINT removes temporary files, takes all its handlers
  // back and raises the signal again for the handler before it, the driver's
  // own: see `continueFallback`.
  struct sigaction interrupt;
  if (sigaction(SIGINT, nullptr, &interrupt) == 0 &&
      !(interrupt.sa_flags & SA_SIGINFO) && interrupt.sa_handler != SIG_DFL &&
      interrupt.sa_handler != SIG_IGN) {
    interrupt.sa_handler(SIGINT);
  } else if (interrupt.sa_flags & SA_SIGINFO) {
    siginfo_t information = {};
    information.si_signo = SIGINT;
    interrupt.sa_sigaction(SIGINT, &information, nullptr);
  }
  runAgain();
  dieOf(signal);
}

/// A stack for handlers on this thread, since its own may have run out.
/// Returns its memory; null if there is none.
constexpr size_t handlerStackSize = 128 * 1024;
void *useHandlerStack() {
  void *memory = mmap(nullptr, handlerStackSize, PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) {
    return nullptr;
  }
  stack_t stack = {};
  stack.ss_sp = memory;
  stack.ss_size = handlerStackSize;
  if (sigaltstack(&stack, nullptr) != 0) {
    munmap(memory, handlerStackSize);
    return nullptr;
  }
  return memory;
}

struct Thread {
  void *(*start)(void *);
  void *argument;
};

void *runThread(void *given) {
  Thread thread = *static_cast<Thread *>(given);
  delete static_cast<Thread *>(given);
  void *memory = useHandlerStack();
  void *result = thread.start(thread.argument);
  if (memory) {
    stack_t stack = {};
    stack.ss_flags = SS_DISABLE;
    sigaltstack(&stack, nullptr);
    munmap(memory, handlerStackSize);
  }
  return result;
}

/// Makes standard input readable a second time; false with errno.
bool keepInput() {
  Fallback &state = fallback();
  struct stat status;
  if (fstat(STDIN_FILENO, &status) != 0) {
    return false;
  }
  if (S_ISREG(status.st_mode)) {
    state.inputOffset = lseek(STDIN_FILENO, 0, SEEK_CUR);
    return state.inputOffset >= 0;
  }
  int copy = copyToMemory(STDIN_FILENO);
  if (copy < 0) {
    return false;
  }
  dup2(copy, STDIN_FILENO);
  close(copy);
  state.inputOffset = 0;
  return true;
}

[[gnu::noinline]] int overflow(volatile char *outer) {
  volatile char frame[4096];
  frame[0] = outer ? outer[0] : 1;
  return frame[0] == 2 ? 0 : overflow(frame) + frame[0];
}

void crash(const std::string &kind) {
  if (kind == "STACK") {
    overflow(nullptr);
  }
  for (int signal : fatalSignals) {
    if (signalName(signal) == "SIG" + kind) {
      raise(signal);
    }
  }
}

} // namespace

std::optional<PreviousCrash> takePreviousCrash() {
  const char *value = std::getenv(variable);
  if (!value) {
    return std::nullopt;
  }
  PreviousCrash crash;
  int stage = 0;
  int length = 0;
  bool read = std::sscanf(value, "%d:%d:%d:%n", &stage, &crash.signal,
                          &crash.inputCopy, &length) == 3 &&
              length > 0 && stage >= 1 && stage <= 2;
  if (read) {
    crash.stage = FallbackStage(stage);
    crash.step = value + length;
  }
  unsetenv(variable);
  return read ? std::optional<PreviousCrash>(crash) : std::nullopt;
}

Status prepareFallback(const std::vector<std::string> &command,
                       const std::vector<std::string> &inputs,
                       FallbackStage stage) {
  Fallback &state = fallback();
  if (stage == FallbackStage::Plain) {
    return Status::success(); // no guarded step is left
  }
  for (const std::string &input : inputs) {
    if ((input == "-" || input == "/dev/stdin") && !keepInput()) {
      return Status::failure(std::string("cannot read standard input: ") +
                             std::strerror(errno));
    }
  }
  ssize_t size =
      readlink("/proc/self/exe", state.program, sizeof(state.program) - 1);
  state.standardError = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 3);
  if (size <= 0 || !useHandlerStack()) {
    return Status::success();
  }
  state.stage = stage;
  state.command = command;
  for (std::string &argument : state.command) {
    state.arguments.push_back(argument.data());
  }
  state.arguments.push_back(nullptr);
  for (char **entry = environ; *entry; ++entry) {
    state.environment.push_back(*entry);
  }
  state.environment.push_back(state.message);
  state.environment.push_back(nullptr);
  pthread_sigmask(SIG_SETMASK, nullptr, &state.mask);
  state.ready = true;
  return Status::success();
}

void keepAcrossFallback(int inputCopy) { fallback().inputCopy = inputCopy; }

void continueFallback() {
  if (fallback().signal.load() != 0) {
    runAgain();
    dieOf(fallback().signal.load());
  }
}

CrashGuard::CrashGuard(const std::string &step) {
  Fallback &state = fallback();
  outerStep = state.step;
  std::snprintf(state.step, sizeof(state.step), "%s", step.c_str());
  if (state.guards++ > 0 || !state.ready) {
    return;
  }
  state.armed = true;
  struct sigaction action = {};
  action.sa_handler = handle;
  action.sa_flags = SA_ONSTACK | SA_NODEFER;
  sigemptyset(&action.sa_mask);
  for (size_t i = 0; i < numSignals; ++i) {
    sigaction(fatalSignals[i], &action, &state.outer[i]);
  }
}

CrashGuard::~CrashGuard() {
  Fallback &state = fallback();
  std::snprintf(state.step, sizeof(state.step), "%s", outerStep.c_str());
  if (--state.guards > 0 || !state.armed) {
    return;
  }
  state.armed = false;
  for (size_t i = 0; i < numSignals; ++i) {
    sigaction(fatalSignals[i], &state.outer[i], nullptr);
  }
}

void crashPoint(const char *point) {
  static const char *wanted = std::getenv("SERENITY_TEST_CRASH");
  if (!wanted) {
    return;
  }
  // POINT[#TIME]:KIND[:worker]
  std::string kind = wanted;
  size_t colon = std::min(kind.find(':'), kind.size());
  std::string name = kind.substr(0, colon);
  kind.erase(0, colon + 1);
  size_t hash = std::min(name.find('#'), name.size());
  int time = hash < name.size() ? std::atoi(name.c_str() + hash + 1) : 1;
  static int times = 0;
  if (name.compare(0, hash, point) != 0 || ++times != time) {
    return;
  }
  colon = kind.find(':');
  if (colon == std::string::npos) {
    crash(kind);
  } else {
    kind.resize(colon);
    std::thread([&] { crash(kind); }).join();
  }
}

std::string signalName(int signal) {
  switch (signal) {
  case SIGSEGV:
    return "SIGSEGV";
  case SIGBUS:
    return "SIGBUS";
  case SIGILL:
    return "SIGILL";
  case SIGFPE:
    return "SIGFPE";
  case SIGABRT:
    return "SIGABRT";
  }
  return "signal " + std::to_string(signal);
}

} // namespace serenity

/// In front of the C library's, so that threads of the compiler library have a
/// stack for handlers too.
extern "C" __attribute__((visibility("default"))) int
pthread_create(pthread_t *thread, const pthread_attr_t *attributes,
               void *(*start)(void *), void *argument) {
  using Function =
      int (*)(pthread_t *, const pthread_attr_t *, void *(*)(void *), void *);
  static auto real =
      reinterpret_cast<Function>(dlsym(RTLD_NEXT, "pthread_create"));
  auto *given = new serenity::Thread{start, argument};
  int error = real(thread, attributes, serenity::runThread, given);
  if (error != 0) {
    delete given;
  }
  return error;
}
