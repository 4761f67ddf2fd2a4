// Part of serenity_mlir, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

// RewriteSitesTest: the sites of small functions and their splits, by hand.

#include "Expect.h"
#include "ParsedModule.h"

#include "serenity/Transforms/Rewrite/Rewrite.h"

using namespace serenity;
using namespace serenity::test;

namespace {

/// A convolution over a concatenation of three values: 1, 2 and 4 channels of
/// 8x8 floats, 256 bytes each.
const char *const convolution = R"(
util.func public @f(%x: tensor<1x1x8x8xf32>, %y: tensor<1x2x8x8xf32>, %z: tensor<1x4x8x8xf32>) -> tensor<1x3x8x8xf32> {
  %w = arith.constant dense<1.0> : tensor<3x7x1x1xf32>
  %init = arith.constant dense<0.0> : tensor<1x3x8x8xf32>
  %c = tensor.concat dim(1) %x, %y, %z : (tensor<1x1x8x8xf32>, tensor<1x2x8x8xf32>, tensor<1x4x8x8xf32>) -> tensor<1x7x8x8xf32>
  %r = linalg.conv_2d_nchw_fchw {dilations = dense<1> : vector<2xi64>, strides = dense<1> : vector<2xi64>}
      ins(%c, %w : tensor<1x7x8x8xf32>, tensor<3x7x1x1xf32>) outs(%init : tensor<1x3x8x8xf32>) -> tensor<1x3x8x8xf32>
  util.return %r : tensor<1x3x8x8xf32>
}
)";

/// The values that the convolutions read, in program order.
std::vector<MlirValue> convolved(MlirOperation module) {
  std::vector<MlirValue> found;
  for (MlirOperation op : findAll(module, "linalg.conv_2d_nchw_fchw")) {
    found.push_back(ir::operand(op, 0));
  }
  return found;
}

/// Whether the convolutions read these arguments of the function, in order.
bool reads(MlirOperation module, std::vector<intptr_t> arguments) {
  std::vector<MlirValue> values = convolved(module);
  if (values.size() != arguments.size()) {
    return false;
  }
  for (size_t i = 0; i < values.size(); ++i) {
    if (!mlirValueIsABlockArgument(values[i]) ||
        mlirBlockArgumentGetArgNumber(values[i]) != arguments[i]) {
      return false;
    }
  }
  return true;
}

void testFound(Session &session) {
  ir::OwningOp module = session.parse(convolution);
  std::vector<RewriteSite> sites = findRewriteSites(module.get());
  expect(sites.size() == 1, "one site");
  if (sites.size() != 1) {
    return;
  }
  expect(sites[0].kind == RewriteKind::ChannelWise && sites[0].parts == 3 &&
             sites[0].function == "f" && sites[0].element == "f32" &&
             sites[0].operation == "linalg.conv_2d_nchw_fchw",
         "a channel-wise site of three parts");
  // Seven channels and a result of three; then the largest part with it.
  expect(sites[0].bytesBefore == (7 + 3) * 256 &&
             sites[0].bytesAfter == (4 + 3) * 256,
         "the bytes at the operation before and after");
}

void testSplit(Session &session) {
  ir::OwningOp module = session.parse(convolution);
  RewriteOptions options;
  options.solveOrder = false;
  RewriteOutcome outcome;
  expect(applyRewrites(module.get(), {true}, options, &outcome) &&
             mlirOperationVerify(module.get()),
         "the site is split");
  expect(outcome.parts == std::vector<int64_t>{3} && outcome.refusal.empty(),
         "into three parts");
  expect(reads(module.get(), {0, 1, 2}), "in the order of the concatenation");
  expect(findAll(module.get(), "tensor.concat").empty(),
         "the concatenation is gone");
  // Each adds to the result of the one before, behind a barrier.
  std::vector<MlirOperation> barriers =
      findAll(module.get(), "util.optimization_barrier");
  std::vector<MlirOperation> parts =
      findAll(module.get(), "linalg.conv_2d_nchw_fchw");
  expect(barriers.size() == 2, "a barrier behind every part but the last");
  for (size_t i = 0; i < std::min<size_t>(barriers.size(), 2); ++i) {
    expect(mlirValueEqual(ir::operand(barriers[i], 0), ir::result(parts[i])) &&
               mlirValueEqual(ir::operand(parts[i + 1], 2),
                              ir::result(barriers[i])),
           "a chain of accumulations");
  }
}

void testGivenOrder(Session &session) {
  ir::OwningOp module = session.parse(convolution);
  RewriteOptions options;
  options.orders = {{2, 0, 1}};
  expect(applyRewrites(module.get(), {true}, options), "with an order given");
  expect(reads(module.get(), {2, 0, 1}), "parts are taken in that order");
}

void testMergedSteps(Session &session) {
  ir::OwningOp module = session.parse(convolution);
  RewriteOptions options;
  options.solveOrder = false;
  options.joins[0] = {{0, 1}};
  RewriteOutcome outcome;
  expect(applyRewrites(module.get(), {true}, options, &outcome) &&
             mlirOperationVerify(module.get()),
         "with merged accumulation steps");
  std::vector<MlirOperation> concatenations =
      findAll(module.get(), "tensor.concat");
  expect(concatenations.size() == 1 && convolved(module.get()).size() == 2,
         "two steps, one over a concatenation of two parts");
  expect(concatenations.size() == 1 &&
             ir::toString(mlirValueGetType(ir::result(concatenations[0]))) ==
                 "tensor<1x3x8x8xf32>",
         "of the first two");
}

void testNotEnabled(Session &session) {
  ir::OwningOp module = session.parse(convolution);
  std::string before = ir::toString(module.get());
  RewriteOutcome outcome;
  expect(applyRewrites(module.get(), {false}, {}, &outcome),
         "with no site enabled");
  expect(ir::toString(module.get()) == before &&
             outcome.parts == std::vector<int64_t>{0},
         "nothing changes");
  ir::SilenceDiagnostics silence(mlirOperationGetContext(module.get()));
  expect(!applyRewrites(module.get(), {true, true}),
         "sites that do not fit the module are refused");
}

} // namespace

int main() {
  Session session;
  testFound(session);
  testSplit(session);
  testGivenOrder(session);
  testMergedSteps(session);
  testNotEnabled(session);
  if (failures == 0) {
    std::printf("sites are split as by hand\n");
  }
  return failures == 0 ? 0 : 1;
}
