// Part of serenity_mlir, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

// QuantizedRaiseTest: sums of weights and dequantized values as constants, and
// insertions into tensors of more dimensions, by hand.

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

/// What the function of `module` returns, in which `count` constants were made;
/// "" if it is none of them.
std::string returnedConstant(MlirOperation module, int64_t count) {
  expect(mlirOperationVerify(module), "the module verifies");
  MlirOperation made =
      ir::definingOp(ir::operand(findAll(module, "util.return")[0], 0));
  expect((count == 1) == ir::isa(made, "arith.constant"),
         "the count is that of the constants made");
  return count == 1 ? ir::toString(ir::attr(made, "value")) : "";
}

/// What the function returns once sums are constants; "" if it is no constant.
std::string folded(Session &session, const std::string &function) {
  ir::OwningOp module = session.parse(function);
  int64_t count = quantized::foldWeightSums(module.get());
  return returnedConstant(module.get(), count);
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

/// What the function of `body`, an elementwise operation over `inputs` along
/// the maps `maps`, returns once dequantized constants are constants; "" if it
/// is no constant.
std::string dequantized(Session &session, const std::string &constants,
                        const std::string &maps, const std::string &inputs,
                        const std::string &body,
                        const std::string &type = "tensor<2x2xf32>") {
  ir::OwningOp module = session.parse(
      "util.func public @f(%x: tensor<2xi32>) -> " + type + " {\n" + constants +
      "%e = tensor.empty() : " + type +
      "\n%r = linalg.generic {indexing_maps = [" + maps +
      ", affine_map<(d0, d1) -> (d0, d1)>], iterator_types = [\"parallel\", "
      "\"parallel\"]} ins(" +
      inputs + ") outs(%e : " + type + ") {\n" + body + "} -> " + type +
      "\nutil.return %r : " + type + "\n}");
  int64_t count = quantized::foldDequantizedConstants(module.get());
  return returnedConstant(module.get(), count);
}

void testDequantized(Session &session) {
  const std::string whole = "affine_map<(d0, d1) -> (d0, d1)>";
  const std::string row = "affine_map<(d0, d1) -> (d0)>";
  const std::string column = "affine_map<(d0, d1) -> (d1)>";
  const std::string one = "affine_map<(d0, d1) -> ()>";
  const std::string bias =
      "%b = arith.constant dense<[3, -16777217]> : tensor<2xi32>\n"
      "%s = arith.constant dense<[0.5, 2.0]> : tensor<2xf32>\n";
  const std::string scaled =
      "^bb0(%a: i32, %c: f32, %out: f32):\n%y = arith.sitofp %a : i32 to f32\n"
      "%z = arith.mulf %y, %c : f32\nlinalg.yield %z : f32\n";
  // 3 and -2^24 - 1, which rounds to -2^24, by 0.5 and by 2 each.
  expect(
      dequantized(session, bias, row + ", " + column,
                  "%b, %s : tensor<2xi32>, tensor<2xf32>", scaled) ==
          "dense<[[1.500000e+00, 6.000000e+00], [0xCB000000, 0xCC000000]]> : "
          "tensor<2x2xf32>",
      "a bias, along the rows, and scales along the columns");
  // 1 - 3 and 254 - 3, in 16 bits, by 2.
  expect(dequantized(
             session,
             "%q = arith.constant dense<[[1, -2], [1, 1]]> : tensor<2x2xi8>\n"
             "%zp = arith.constant 3 : i64\n%two = arith.constant 2.0 : f32\n",
             whole + ", " + one, "%q, %zp : tensor<2x2xi8>, i64",
             "^bb0(%a: i8, %p: i64, %out: f32):\n"
             "%w = arith.extui %a : i8 to i16\n"
             "%t = arith.trunci %p : i64 to i16\n"
             "%u = arith.subi %w, %t : i16\n"
             "%y = arith.sitofp %u : i16 to f32\n"
             "%z = arith.mulf %y, %two : f32\nlinalg.yield %z : f32\n") ==
             "dense<[[-4.000000e+00, 5.020000e+02], [-4.000000e+00, "
             "-4.000000e+00]]> : tensor<2x2xf32>",
         "unsigned integers with a zero point, and a scale from outside");
  expect(dequantized(session,
                     "%s = arith.constant dense<2.0> : tensor<2xf32>\n",
                     row + ", " + column,
                     "%x, %s : tensor<2xi32>, tensor<2xf32>", scaled)
             .empty(),
         "what is computed from an argument stays");
  std::string other = scaled;
  other.replace(other.find("arith.mulf"), 10, "arith.addf");
  expect(dequantized(session, bias, row + ", " + column,
                     "%b, %s : tensor<2xi32>, tensor<2xf32>", other)
             .empty(),
         "another operation stays");
  // 4 bytes each: one row more than 1 MiB.
  expect(dequantized(session,
                     "%b = arith.constant dense<1> : tensor<513xi32>\n"
                     "%s = arith.constant dense<2.0> : tensor<512xf32>\n",
                     row + ", " + column,
                     "%b, %s : tensor<513xi32>, tensor<512xf32>", scaled,
                     "tensor<513x512xf32>")
             .empty(),
         "a large result stays");
}

/// A product of dequantized matrices, a bias of dequantized integers added, and
/// scaled by a constant that is computed.
const char *const productWithBias = R"(
util.func public @f(%x: tensor<4x4xi8>) -> tensor<4x4xi8> {
  %s = arith.constant 0.3 : f32
  %zero = arith.constant 0.0 : f32
  %w8 = arith.constant dense<3> : tensor<4x4xi8>
  %b32 = arith.constant dense<[1, 2, 3, 4]> : tensor<4xi32>
  %e = tensor.empty() : tensor<4x4xf32>
  %g = tensor.empty() : tensor<4x4xi8>
  %n = tensor.empty() : tensor<4xf32>
  %a = iree_linalg_ext.dequantize_affine <indexing_maps = [affine_map<(a, b) -> (a, b)>, affine_map<(a, b) -> ()>, affine_map<(a, b) -> (a, b)>], quant_min = -128, quant_max = 127>
      ins(%x, %s : tensor<4x4xi8>, f32) outs(%e : tensor<4x4xf32>) -> tensor<4x4xf32>
  %w = iree_linalg_ext.dequantize_affine <indexing_maps = [affine_map<(a, b) -> (a, b)>, affine_map<(a, b) -> ()>, affine_map<(a, b) -> (a, b)>], quant_min = -128, quant_max = 127>
      ins(%w8, %s : tensor<4x4xi8>, f32) outs(%e : tensor<4x4xf32>) -> tensor<4x4xf32>
  %b = iree_linalg_ext.dequantize_affine <indexing_maps = [affine_map<(a) -> (a)>, affine_map<(a) -> ()>, affine_map<(a) -> (a)>], quant_min = -2147483648, quant_max = 2147483647>
      ins(%b32, %s : tensor<4xi32>, f32) outs(%n : tensor<4xf32>) -> tensor<4xf32>
  %i = linalg.fill ins(%zero : f32) outs(%e : tensor<4x4xf32>) -> tensor<4x4xf32>
  %m = linalg.matmul ins(%a, %w : tensor<4x4xf32>, tensor<4x4xf32>) outs(%i : tensor<4x4xf32>) -> tensor<4x4xf32>
  %variance = arith.constant dense<[1.0, 2.0, 3.0, 4.0]> : tensor<4xf32>
  %r = linalg.generic {indexing_maps = [affine_map<(a) -> (a)>, affine_map<(a) -> (a)>], iterator_types = ["parallel"]}
      ins(%variance : tensor<4xf32>) outs(%n : tensor<4xf32>) {
  ^bb0(%v: f32, %out: f32):
    %t = math.rsqrt %v : f32
    linalg.yield %t : f32
  } -> tensor<4xf32>
  %c = linalg.generic {indexing_maps = [affine_map<(a, b) -> (a, b)>, affine_map<(a, b) -> (b)>, affine_map<(a, b) -> (b)>, affine_map<(a, b) -> (a, b)>], iterator_types = ["parallel", "parallel"]}
      ins(%m, %b, %r : tensor<4x4xf32>, tensor<4xf32>, tensor<4xf32>) outs(%e : tensor<4x4xf32>) {
  ^bb0(%l: f32, %k: f32, %v: f32, %out: f32):
    %t = arith.addf %l, %k : f32
    %u = arith.mulf %t, %v : f32
    linalg.yield %u : f32
  } -> tensor<4x4xf32>
  %q = iree_linalg_ext.quantize_affine <indexing_maps = [affine_map<(a, b) -> (a, b)>, affine_map<(a, b) -> ()>, affine_map<(a, b) -> (a, b)>], quant_min = -128, quant_max = 127>
      ins(%c, %s : tensor<4x4xf32>, f32) outs(%g : tensor<4x4xi8>) -> tensor<4x4xi8>
  util.return %q : tensor<4x4xi8>
}
)";

void testEpilogue(Session &session) {
  ir::OwningOp module = session.parse(productWithBias);
  ir::OwningOp raised = quantized::raisedCopy(module.get());
  expect(bool(raised), "this release raises");
  // Code generation may contract a product with a converted bias and their sum,
  // and its square roots differ from those that are evaluated while compiling.
  expect(findAll(raised.get(), "linalg.generic").size() == 3,
         "a contraction, its epilogue, and the factor");
  expect(findAll(raised.get(), "arith.sitofp").size() == 1,
         "an epilogue converts its accumulator and no constant");
  std::vector<MlirOperation> roots = findAll(raised.get(), "math.rsqrt");
  expect(roots.size() == 1, "the factor is computed once");
  MlirOperation factor = mlirOperationGetParentOperation(roots[0]);
  expect(ir::operations(ir::body(factor)).size() == 2,
         "it is not part of the epilogue");
  expect(findAll(raised.get(), "util.optimization_barrier").empty(),
         "no barrier remains");
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
  testDequantized(session);
  testEpilogue(session);
  testInsertions(session);
  if (failures == 0) {
    std::printf("constants and insertions are as by hand\n");
  }
  return failures == 0 ? 0 : 1;
}
