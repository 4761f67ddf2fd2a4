// Part of serenity_mlir, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

// FusionModelTest: rules of the fusion model that hold in the search for the
// order of accumulations only, by the least peak of small functions.

#include "Expect.h"
#include "ParsedModule.h"

#include "serenity/Analysis/FusionModel.h"
#include "serenity/Core/Scheduling/Scheduler.h"

#include <algorithm>

using namespace serenity;
using namespace serenity::rewrite;
using namespace serenity::test;

namespace {

/// Arguments %x and %y, `body`, and a product of %r that is the result. Tensors
/// of 16 x 16 floats have 1024 bytes, the result has 256.
std::string function(const std::string &body, const char *rows = "16") {
  const std::string type = std::string("tensor<") + rows + "x16xf32>";
  const std::string last = std::string("tensor<") + rows + "x4xf32>";
  return R"(
util.func public @f(%x: tensor<16x16xf32>, %y: tensor<16x16xf32>) -> )" +
         last + R"( {
  %zero = arith.constant 0.0 : f32
  %w = arith.constant dense<1.0> : tensor<16x16xf32>
  %v = arith.constant dense<1.0> : tensor<16x4xf32>
  %e = tensor.empty() : tensor<16x16xf32>
  %init = linalg.fill ins(%zero : f32) outs(%e : tensor<16x16xf32>) -> tensor<16x16xf32>
)" + body +
         "%f = tensor.empty() : " + last +
         "\n%g = linalg.fill ins(%zero : f32) outs(%f : " + last + ") -> " +
         last + "\n%z = linalg.matmul ins(%r, %v : " + type +
         ", tensor<16x4xf32>) outs(%g : " + last + ") -> " + last +
         "\nutil.return %z : " + last + "\n}\n";
}

/// The product of `operand` and the weights, added to `initial`.
std::string product(const char *name, const char *operand,
                    const char *initial = "init") {
  return std::string("%") + name + " = linalg.matmul ins(%" + operand +
         ", %w : tensor<16x16xf32>, tensor<16x16xf32>) outs(%" + initial +
         " : tensor<16x16xf32>) -> tensor<16x16xf32>\n";
}

std::string sum(const char *name, const char *left, const char *right) {
  return std::string("%") + name +
         " = linalg.generic {indexing_maps = [affine_map<(i, j) -> (i, j)>, "
         "affine_map<(i, j) -> (i, j)>, affine_map<(i, j) -> (i, j)>], "
         "iterator_types = [\"parallel\", \"parallel\"]} ins(%" +
         left + ", %" + right +
         " : tensor<16x16xf32>, tensor<16x16xf32>) outs(%e : "
         "tensor<16x16xf32>) {\n^bb0(%p: f32, %q: f32, %o: f32):\n"
         "%n = arith.addf %p, %q : f32\nlinalg.yield %n : f32\n"
         "} -> tensor<16x16xf32>\n";
}

MlirBlock bodyOf(const ir::OwningOp &module) {
  return ir::body(findAll(module.get(), "util.func").at(0));
}

int64_t leastPeak(MlirBlock block, const FusionRules &rules) {
  const PiecewiseOps none;
  const Concats noConcats;
  const std::vector<Chain> noChains;
  FusionModel model(block, noChains, none, noConcats, rules);
  if (!verifyProblem(model.problem)) {
    return -1;
  }
  return schedule(model.problem, SchedulerOptions()).peakBytes;
}

void testShareSums(Session &session) {
  // The sum of two products that are needed nowhere else: the second product is
  // made where the first one lies, 1024 bytes. The result is not counted.
  ir::OwningOp module = session.parse(
      function(product("a", "x") + product("b", "y") + sum("r", "a", "b")));
  expect(leastPeak(bodyOf(module), FusionRules()) == 1024,
         "two products share the memory of their sum");
  // Another sum reads %b: it stays beside the first one, 2048 bytes.
  module = session.parse(function(product("a", "x") + product("b", "y") +
                                  sum("s", "a", "b") + sum("r", "s", "b")));
  expect(leastPeak(bodyOf(module), FusionRules()) == 2048,
         "a product with another reader has its own memory");
}

/// The operation of `model` that holds `op`, or -1.
OpId unitOf(const FusionModel &model, MlirOperation op) {
  for (size_t i = 0; i < model.members.size(); ++i) {
    for (MlirOperation member : model.members[i]) {
      if (mlirOperationEqual(member, op)) {
        return OpId(i);
      }
    }
  }
  return -1;
}

void testAddLate(Session &session) {
  // %b = x w + y w in two steps, to which %d is added.
  ir::OwningOp module =
      session.parse(function(product("a", "x") + product("b", "y", "a") +
                             product("d", "x") + sum("r", "b", "d")));
  std::vector<MlirOperation> products = findAll(module.get(), "linalg.matmul");
  Chain chain;
  chain.steps = {products.at(0), products.at(1)};
  chain.accumulator = 2;
  const std::vector<Chain> chains = {chain};
  const PiecewiseOps none;
  const Concats noConcats;
  for (Addends addends : {Addends::ComeLast, Addends::TakeSum}) {
    const bool late = addends == Addends::ComeLast;
    FusionRules rules;
    rules.addends = addends;
    FusionModel model(bodyOf(module), chains, none, noConcats, rules);
    const OpId unit = unitOf(model, products.at(2));
    if (unit < 0 || model.accumulates.at(0).size() != 2) {
      expect(false, "two steps and an addend");
      continue;
    }
    const Operation &addend = model.problem.operations[size_t(unit)];
    // Either order of the steps is free, so the addend waits for both.
    for (OpId step : model.accumulates[0]) {
      const bool waits = std::find(addend.after.begin(), addend.after.end(),
                                   step) != addend.after.end();
      expect(waits == late, late ? "the addend is computed for the last step"
                                 : "the addend may come first");
    }
    // It is the sum then, and exists beside it while that is written.
    expect(addend.workspaceBytes == (late ? 1024 : 0),
           "the addend is no tensor of its own");
  }
}

void testPlaceParts(Session &session) {
  ir::OwningOp module = session.parse(
      function(product("a", "x") + product("b", "y") +
                   "%r = tensor.concat dim(0) %a, %b : (tensor<16x16xf32>, "
                   "tensor<16x16xf32>) -> tensor<32x16xf32>\n",
               "32"));
  FusionRules rules;
  // Both parts, 2 x 1024 bytes, and the concatenation that they are copied to.
  expect(leastPeak(bodyOf(module), rules) == 4096, "parts are copied");
  // Only the concatenation: the two models that the order of accumulations is
  // chosen from differ.
  rules.placeParts = true;
  expect(leastPeak(bodyOf(module), rules) == 2048, "parts are made in place");
}

} // namespace

int main() {
  Session session;
  testShareSums(session);
  testAddLate(session);
  testPlaceParts(session);
  if (failures == 0) {
    std::printf("fusion is modelled as by hand\n");
  }
  return failures == 0 ? 0 : 1;
}
