// Part of serenity_mlir, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

// QuantizedRaiseTest: sums of weights as constants, and insertions into tensors
// of more dimensions, by hand.

#include "Expect.h"
#include "ParsedModule.h"

#include "serenity/Transforms/QuantizedOps.h"

using namespace serenity;
using namespace serenity::test;

namespace {

/// A function of no argument that sums `weights` into two sums, in 32 bits from
/// `init`, with the map `in` of the loops (d0: of the sums, d1: summed).
std::string sumOf(const std::string &weights, const std::string &in,
                  const std::string &extend, const std::string &init = "0") {
  return "util.func public @f() -> tensor<2xi32> {\n"
         "%w = arith.constant " +
         weights +
         "\n"
         "%init = arith.constant " +
         init +
         " : i32\n"
         "%e = tensor.empty() : tensor<2xi32>\n"
         "%z = linalg.fill ins(%init : i32) outs(%e : tensor<2xi32>) -> "
         "tensor<2xi32>\n"
         "%s = linalg.generic {indexing_maps = [affine_map<(d0, d1) -> " +
         in +
         ">, affine_map<(d0, d1) -> (d0)>], iterator_types = [\"parallel\", "
         "\"reduction\"]} ins(%w : " +
         weights.substr(weights.find("tensor")) +
         ") outs(%z : tensor<2xi32>) {\n"
         "^bb0(%a: i8, %out: i32):\n"
         "%x = arith." +
         extend +
         " %a : i8 to i32\n"
         "%y = arith.addi %out, %x : i32\n"
         "linalg.yield %y : i32\n"
         "} -> tensor<2xi32>\n"
         "util.return %s : tensor<2xi32>\n}";
}

/// What the function returns once sums are constants; "" if it is no constant.
std::string folded(Session &session, const std::string &function) {
  ir::OwningOp module = session.parse(function);
  int64_t count = quantized::foldWeightSums(module.get());
  expect(mlirOperationVerify(module.get()), "the module verifies");
  MlirOperation sum =
      ir::definingOp(ir::operand(findAll(module.get(), "util.return")[0], 0));
  expect((count == 1) == ir::isa(sum, "arith.constant"),
         "the count is that of the constants made");
  return count == 1 ? ir::toString(ir::attr(sum, "value")) : "";
}

void testSums(Session &session) {
  const char *rows = "dense<[[1, -2, 4], [100, 100, 100]]> : tensor<2x3xi8>";
  // 1 - 2 + 4 and 3 * 100, which has no place in 8 bits.
  expect(folded(session, sumOf(rows, "(d0, d1)", "extsi")) ==
             "dense<[3, 300]> : tensor<2xi32>",
         "signed weights, the rows summed");
  // -2 is 254 without a sign.
  expect(folded(session, sumOf(rows, "(d0, d1)", "extui")) ==
             "dense<[259, 300]> : tensor<2xi32>",
         "unsigned weights");
  const char *columns = "dense<[[1, 5], [-2, 6], [4, 7]]> : tensor<3x2xi8>";
  // 1 - 2 + 4 and 5 + 6 + 7.
  expect(folded(session, sumOf(columns, "(d1, d0)", "extsi")) ==
             "dense<[3, 18]> : tensor<2xi32>",
         "the columns summed");
  // Three times -7 each.
  expect(folded(session, sumOf("dense<-7> : tensor<2x3xi8>", "(d0, d1)",
                               "extsi")) == "dense<-21> : tensor<2xi32>",
         "a splat");
}

void testRefused(Session &session) {
  const char *rows = "dense<[[1, -2, 4], [100, 100, 100]]> : tensor<2x3xi8>";
  expect(folded(session, sumOf(rows, "(d0, d1)", "extsi", "5")).empty(),
         "a sum that does not begin with zero stays");
  // Weights read in windows of two: the loops are those of a second operand.
  const char *window = "dense<[1, -2, 4]> : tensor<3xi8>";
  std::string windowed = sumOf(window, "(d0 + d1)", "extsi");
  std::string extent = ", affine_map<(d0, d1) -> (d0)>], iterator";
  windowed.replace(windowed.find(extent), extent.size(),
                   ", affine_map<(d0, d1) -> (d1)>" + extent);
  windowed.replace(windowed.find("ins(%w :"), 8, "ins(%w, %k :");
  windowed.replace(windowed.find("tensor<3xi8>)"), 13,
                   "tensor<3xi8>, tensor<2xi8>)");
  windowed.replace(windowed.find("%a: i8,"), 7, "%a: i8, %b: i8,");
  windowed.replace(windowed.find("%e = "), 5,
                   "%k = tensor.empty() : tensor<2xi8>\n%e = ");
  expect(folded(session, windowed).empty(), "a window over weights stays");
}

/// What is inserted with `sizes` into a tensor `whole`, once it has the same
/// dimensions: its type; that of `part` if it stays.
std::string inserted(Session &session, const std::string &part,
                     const std::string &sizes, const std::string &strides,
                     const std::string &whole) {
  std::string offsets = "0";
  for (char c : sizes) {
    offsets += c == ',' ? ", 0" : "";
  }
  ir::OwningOp module = session.parse(
      "util.func public @f(%x: " + part + ", %y: " + whole + ") -> " + whole +
      " {\n%r = tensor.insert_slice %x into %y[" + offsets + "] [" + sizes +
      "] [" + strides + "] : " + part + " into " + whole +
      "\nutil.return %r : " + whole + "\n}");
  int64_t count = quantized::expandInserted(module.get());
  expect(mlirOperationVerify(module.get()), "the module verifies");
  MlirOperation op = findAll(module.get(), "tensor.insert_slice")[0];
  std::string type = ir::toString(mlirValueGetType(ir::operand(op, 0)));
  expect((count == 1) == (type != part), "the count is that of the changes");
  return type;
}

void testInsertions(Session &session) {
  expect(inserted(session, "tensor<3x4x4xf32>", "1, 3, 4, 4", "1, 1, 2, 2",
                  "tensor<1x3x8x8xf32>") == "tensor<1x3x4x4xf32>",
         "one in front");
  expect(inserted(session, "tensor<3x4xf32>", "3, 1, 4, 1", "1, 1, 2, 1",
                  "tensor<3x5x8x5xf32>") == "tensor<3x1x4x1xf32>",
         "ones between and behind");
  expect(inserted(session, "tensor<1x4xf32>", "1, 1, 4", "1, 1, 2",
                  "tensor<1x5x8xf32>") == "tensor<1x1x4xf32>",
         "ones of its own");
  expect(inserted(session, "tensor<3x4xf32>", "3, 4", "1, 2",
                  "tensor<3x8xf32>") == "tensor<3x4xf32>",
         "equal dimensions stay");
  expect(inserted(session, "tensor<f32>", "1, 1", "1, 1", "tensor<3x8xf32>") ==
             "tensor<f32>",
         "a single element stays");
}

} // namespace

int main() {
  Session session;
  testSums(session);
  testRefused(session);
  testInsertions(session);
  if (failures == 0) {
    std::printf("sums of weights and insertions are as by hand\n");
  }
  return failures == 0 ? 0 : 1;
}
