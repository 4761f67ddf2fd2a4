// RUN: serenity-opt %s --serenity-rewrite --split-input-file | FileCheck %s

// Tests that a sum of floats over a concatenation that is converted to 8 bits
// later keeps its order: in another one it may round to another integer.

// CHECK-LABEL: @quantized_later
//       CHECK: tensor.concat
//       CHECK: linalg.matmul
//   CHECK-NOT: linalg.matmul
//       CHECK: arith.fptosi
util.func public @quantized_later(%x: tensor<4x8xf32>, %y: tensor<4x8xf32>) -> tensor<4x4xi8> {
  %zero = arith.constant 0.0 : f32
  %w = arith.constant dense<0.3> : tensor<16x4xf32>
  %c = tensor.concat dim(1) %x, %y : (tensor<4x8xf32>, tensor<4x8xf32>) -> tensor<4x16xf32>
  %e = tensor.empty() : tensor<4x4xf32>
  %z = linalg.fill ins(%zero : f32) outs(%e : tensor<4x4xf32>) -> tensor<4x4xf32>
  %m = linalg.matmul ins(%c, %w : tensor<4x16xf32>, tensor<16x4xf32>) outs(%z : tensor<4x4xf32>) -> tensor<4x4xf32>
  %g = tensor.empty() : tensor<4x4xi8>
  %q = linalg.generic {indexing_maps = [affine_map<(d0, d1) -> (d0, d1)>, affine_map<(d0, d1) -> (d0, d1)>], iterator_types = ["parallel", "parallel"]}
      ins(%m : tensor<4x4xf32>) outs(%g : tensor<4x4xi8>) {
  ^bb0(%in: f32, %out: i8):
    %t = arith.fptosi %in : f32 to i8
    linalg.yield %t : i8
  } -> tensor<4x4xi8>
  util.return %q : tensor<4x4xi8>
}

// -----

// Tests that a sum of floats behind which nothing is quantized is split, also if
// its operands were: nothing makes a quantum of its rounding.

// CHECK-LABEL: @quantized_before
//       CHECK: linalg.matmul
//       CHECK: linalg.matmul
util.func public @quantized_before(%x: tensor<4x8xf32>, %y: tensor<4x8xi8>) -> tensor<4x4xf32> {
  %zero = arith.constant 0.0 : f32
  %w = arith.constant dense<0.3> : tensor<16x4xf32>
  %h = tensor.empty() : tensor<4x8xf32>
  %d = linalg.generic {indexing_maps = [affine_map<(d0, d1) -> (d0, d1)>, affine_map<(d0, d1) -> (d0, d1)>], iterator_types = ["parallel", "parallel"]}
      ins(%y : tensor<4x8xi8>) outs(%h : tensor<4x8xf32>) {
  ^bb0(%in: i8, %out: f32):
    %t = arith.sitofp %in : i8 to f32
    linalg.yield %t : f32
  } -> tensor<4x8xf32>
  %c = tensor.concat dim(1) %x, %d : (tensor<4x8xf32>, tensor<4x8xf32>) -> tensor<4x16xf32>
  %e = tensor.empty() : tensor<4x4xf32>
  %z = linalg.fill ins(%zero : f32) outs(%e : tensor<4x4xf32>) -> tensor<4x4xf32>
  %m = linalg.matmul ins(%c, %w : tensor<4x16xf32>, tensor<16x4xf32>) outs(%z : tensor<4x4xf32>) -> tensor<4x4xf32>
  util.return %m : tensor<4x4xf32>
}

// -----

// Tests that conversions to wide integers, such as indices, do not count, and
// that sums of integers are split: they do not round.

// CHECK-LABEL: @indices
//       CHECK: linalg.matmul {{.+}} -> tensor<4x4xf32>
//       CHECK: linalg.matmul {{.+}} -> tensor<4x4xf32>
//       CHECK: arith.fptosi
util.func public @indices(%x: tensor<4x8xf32>, %y: tensor<4x8xf32>) -> tensor<4x4xi32> {
  %zero = arith.constant 0.0 : f32
  %w = arith.constant dense<0.3> : tensor<16x4xf32>
  %c = tensor.concat dim(1) %x, %y : (tensor<4x8xf32>, tensor<4x8xf32>) -> tensor<4x16xf32>
  %e = tensor.empty() : tensor<4x4xf32>
  %z = linalg.fill ins(%zero : f32) outs(%e : tensor<4x4xf32>) -> tensor<4x4xf32>
  %m = linalg.matmul ins(%c, %w : tensor<4x16xf32>, tensor<16x4xf32>) outs(%z : tensor<4x4xf32>) -> tensor<4x4xf32>
  %g = tensor.empty() : tensor<4x4xi32>
  %q = linalg.generic {indexing_maps = [affine_map<(d0, d1) -> (d0, d1)>, affine_map<(d0, d1) -> (d0, d1)>], iterator_types = ["parallel", "parallel"]}
      ins(%m : tensor<4x4xf32>) outs(%g : tensor<4x4xi32>) {
  ^bb0(%in: f32, %out: i32):
    %t = arith.fptosi %in : f32 to i32
    linalg.yield %t : i32
  } -> tensor<4x4xi32>
  util.return %q : tensor<4x4xi32>
}
