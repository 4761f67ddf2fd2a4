// Part of serenity_mlir, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

// FunctionMemoryTest: the memory of calls of small functions, worked out by
// hand.

#include "Expect.h"
#include "ParsedModule.h"

#include "serenity/Analysis/FunctionMemory.h"

using namespace serenity;
using namespace serenity::test;

namespace {

/// A function @f(%cond: i1, %n: index) with the constants used here.
std::string function(const std::string &body) {
  return R"(
util.func public @f(%cond: i1, %n: index) -> !stream.resource<external> {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %c3 = arith.constant 3 : index
  %c16 = arith.constant 16 : index
  %c64 = arith.constant 64 : index
  %c100 = arith.constant 100 : index
  %c128 = arith.constant 128 : index
  %c256 = arith.constant 256 : index
)" + body +
         "\n}\n";
}

/// Allocates `size` bytes of memory of a kind as %name.
std::string allocate(const char *name, const char *size,
                     const char *kind = "transient") {
  const std::string type = std::string("!stream.resource<") + kind + ">";
  return std::string("%") + name + ", %" + name +
         "_time = stream.resource.alloca uninitialized : " + type + "{%" +
         size + "} => !stream.timepoint\n";
}

std::string release(const char *name, const char *size) {
  return std::string("%") + name + "_end = stream.resource.dealloca await(%" +
         name + "_time) => %" + name + " : !stream.resource<transient>{%" +
         size + "} => !stream.timepoint\n";
}

const std::string returnResult = allocate("r", "c16", "external") +
                                 "util.return %r : !stream.resource<external>";

std::optional<CallMemory> memoryOf(Session &session, const std::string &body) {
  ir::OwningOp module = session.parse(function(body));
  return callMemory(module.get(), findAll(module.get(), "util.func").at(0),
                    SlabLayout());
}

void testStraightLine(Session &session) {
  // 100 and 128 together, then 256 alone; the result of 16 bytes comes last, so
  // that 256 - 16 bytes are held beyond it.
  std::optional<CallMemory> memory = memoryOf(
      session, allocate("a", "c100") + allocate("b", "c128") +
                   release("a", "c100") + release("b", "c128") +
                   allocate("c", "c256") + release("c", "c256") + returnResult);
  if (!memory) {
    expect(false, "constant sizes are read");
    return;
  }
  expect(memory->transientPeakBytes == 240, "the largest moment counts");
  expect(memory->peakBytes == 256, "the result is not there yet");
  expect(memory->resultBytes == 16, "the result is handed out");
  expect(memory->persistentBytes == 0, "nothing is kept");
  expect(memory->exact, "a call has one path");
  expect(!memory->callerArenaBytes, "the function allocates all by itself");
  expect(memory->live.size() == 1 && memory->live[0].bytes == 256 &&
             memory->live[0].kind != "result",
         "what is alive at the peak is listed");
}

void testResultFirst(Session &session) {
  // The result is there while 128 bytes are: 144 together, 128 beyond it.
  std::optional<CallMemory> memory =
      memoryOf(session, allocate("r", "c16", "external") +
                            allocate("a", "c128") + release("a", "c128") +
                            "util.return %r : !stream.resource<external>");
  expect(memory && memory->peakBytes == 144 &&
             memory->transientPeakBytes == 128 && memory->resultBytes == 16,
         "a result that is allocated first counts in the peak of the call");
}

void testBranches(Session &session) {
  // The paths need 128 and 256 bytes, and 16 at the end: the larger one is a
  // bound.
  std::optional<CallMemory> memory = memoryOf(
      session, "scf.if %cond {\n" + allocate("a", "c128") +
                   release("a", "c128") + "} else {\n" + allocate("b", "c256") +
                   release("b", "c256") + "}\n" + returnResult);
  expect(memory && memory->transientPeakBytes == 240 &&
             memory->peakBytes == 256 && !memory->exact,
         "of two branches the larger one is an upper bound");
}

void testLoop(Session &session) {
  // Every iteration releases its memory, so that three take as much as one:
  // 128, less the 16 of the result.
  std::optional<CallMemory> memory = memoryOf(
      session, "scf.for %i = %c0 to %c3 step %c1 {\n" + allocate("a", "c128") +
                   release("a", "c128") + "}\n" + returnResult);
  expect(memory && memory->transientPeakBytes == 112 && memory->exact,
         "a loop needs the memory of one iteration");
  // The value of the iteration before is read once the next one is there:
  // 2 x 128.
  memory = memoryOf(
      session,
      allocate("k", "c128") +
          "%l = scf.for %i = %c0 to %c3 step %c1 iter_args(%p = %k) -> "
          "(!stream.resource<transient>) {\n" +
          allocate("a", "c128") +
          "%q = util.optimization_barrier %p : !stream.resource<transient>\n" +
          "scf.yield %a : !stream.resource<transient>\n}\n" + returnResult);
  expect(memory && memory->peakBytes == 256 &&
             memory->transientPeakBytes == 240 && memory->exact,
         "a value that is carried lives beside the next one");
}

void testRefused(Session &session) {
  expect(
      !memoryOf(session, allocate("a", "n") + release("a", "n") + returnResult),
      "a size of the run has no number");
}

void testInputs(Session &session) {
  ir::OwningOp module = session.parse(R"mlir(
util.func public @f(%x: !hal.buffer_view) -> !hal.buffer_view attributes {iree.reflection = {iree.abi.declaration = "sync func @f(%input0: tensor<4x4xf32>, %input1: tensor<3xi8>) -> (%output0: tensor<4xf32>)"}} {
  util.return %x : !hal.buffer_view
}
util.func public @g(%x: !hal.buffer_view) -> !hal.buffer_view attributes {iree.reflection = {iree.abi.declaration = "sync func @g(%input0: tensor<?x4xf32>) -> (%output0: tensor<4xf32>)"}} {
  util.return %x : !hal.buffer_view
}
)mlir");
  std::vector<MlirOperation> functions = findAll(module.get(), "util.func");
  expect(inputBytes(functions.at(0)) == 64 + 3,
         "inputs are 4 x 4 floats and 3 bytes");
  expect(!inputBytes(functions.at(1)), "a dynamic input has no number");
}

} // namespace

int main() {
  Session session;
  testStraightLine(session);
  testResultFirst(session);
  testBranches(session);
  testLoop(session);
  testRefused(session);
  testInputs(session);
  if (failures == 0) {
    std::printf("memory is counted as by hand\n");
  }
  return failures == 0 ? 0 : 1;
}
