// RUN: serenity-opt %s --serenity-share-dispatches --split-input-file | FileCheck %s

// Tests that constants stand behind barriers in which two operations differ
// that are equal otherwise, and that a constant which both read does not.

#id = affine_map<(d0) -> (d0)>

// CHECK-LABEL: @differ
//   CHECK-DAG: %[[C0:.+]] = arith.constant dense<[0.000000e+00, 1.000000e+00]>
//   CHECK-DAG: %[[C1:.+]] = arith.constant dense<[2.000000e+00, 3.000000e+00]>
//   CHECK-DAG: %[[SAME:.+]] = arith.constant dense<[4.000000e+00, 5.000000e+00]>
//   CHECK-DAG: %[[B0:.+]] = util.optimization_barrier {serenity.barrier} %[[C0]]
//   CHECK-DAG: %[[B1:.+]] = util.optimization_barrier {serenity.barrier} %[[C1]]
//   CHECK-NOT: util.optimization_barrier
//       CHECK: linalg.generic {{.*}} ins(%{{.+}}, %[[B0]], %[[SAME]] :
//       CHECK: linalg.generic {{.*}} ins(%{{.+}}, %[[B1]], %[[SAME]] :
util.func public @differ(%x: tensor<2xf32>, %y: tensor<2xf32>) -> (tensor<2xf32>, tensor<2xf32>) {
  %c0 = arith.constant dense<[0.0, 1.0]> : tensor<2xf32>
  %c1 = arith.constant dense<[2.0, 3.0]> : tensor<2xf32>
  %same = arith.constant dense<[4.0, 5.0]> : tensor<2xf32>
  %e = tensor.empty() : tensor<2xf32>
  %0 = linalg.generic {indexing_maps = [#id, #id, #id, #id], iterator_types = ["parallel"]} ins(%x, %c0, %same : tensor<2xf32>, tensor<2xf32>, tensor<2xf32>) outs(%e : tensor<2xf32>) {
  ^bb0(%in: f32, %c: f32, %s: f32, %out: f32):
    %p = arith.mulf %in, %c : f32
    %n = arith.addf %p, %s : f32
    linalg.yield %n : f32
  } -> tensor<2xf32>
  %1 = linalg.generic {indexing_maps = [#id, #id, #id, #id], iterator_types = ["parallel"]} ins(%y, %c1, %same : tensor<2xf32>, tensor<2xf32>, tensor<2xf32>) outs(%e : tensor<2xf32>) {
  ^bb0(%in: f32, %c: f32, %s: f32, %out: f32):
    %p = arith.mulf %in, %c : f32
    %n = arith.addf %p, %s : f32
    linalg.yield %n : f32
  } -> tensor<2xf32>
  util.return %0, %1 : tensor<2xf32>, tensor<2xf32>
}

// -----

// Tests that one barrier serves all readers of a constant.

#id = affine_map<(d0) -> (d0)>

// CHECK-LABEL: @read_twice
//   CHECK-DAG: %[[B0:.+]] = util.optimization_barrier {serenity.barrier} %[[C0:.+]] : tensor<2x2xi32>
//   CHECK-DAG: %[[B1:.+]] = util.optimization_barrier {serenity.barrier} %[[C1:.+]] : tensor<2x2xi32>
//   CHECK-NOT: util.optimization_barrier
//       CHECK: linalg.matmul ins(%{{.+}}, %[[B0]] :
//       CHECK: linalg.matmul ins(%{{.+}}, %[[B1]] :
//       CHECK: linalg.matmul ins(%{{.+}}, %[[B0]] :
util.func public @read_twice(%x: tensor<2x2xi32>) -> tensor<2x2xi32> {
  %c0 = arith.constant dense<[[0, 1], [2, 3]]> : tensor<2x2xi32>
  %c1 = arith.constant dense<[[4, 5], [6, 7]]> : tensor<2x2xi32>
  %e = tensor.empty() : tensor<2x2xi32>
  %0 = linalg.matmul ins(%x, %c0 : tensor<2x2xi32>, tensor<2x2xi32>) outs(%e : tensor<2x2xi32>) -> tensor<2x2xi32>
  %1 = linalg.matmul ins(%0, %c1 : tensor<2x2xi32>, tensor<2x2xi32>) outs(%e : tensor<2x2xi32>) -> tensor<2x2xi32>
  %2 = linalg.matmul ins(%1, %c0 : tensor<2x2xi32>, tensor<2x2xi32>) outs(%e : tensor<2x2xi32>) -> tensor<2x2xi32>
  util.return %2 : tensor<2x2xi32>
}

// -----

// Tests that operations stay as they are which have other types, another body,
// an operand twice, equal constants, splats, or constants that IREE does not
// copy: 33 elements of 8 bytes are 264 bytes, more than 256.

// CHECK-LABEL: @other_types
//   CHECK-NOT: util.optimization_barrier
util.func public @other_types(%x: tensor<2x2xi32>, %y: tensor<3x3xi32>) -> (tensor<2x2xi32>, tensor<3x3xi32>) {
  %c0 = arith.constant dense<[[0, 1], [2, 3]]> : tensor<2x2xi32>
  %c1 = arith.constant dense<[[4, 5, 6], [7, 8, 9], [4, 5, 6]]> : tensor<3x3xi32>
  %e = tensor.empty() : tensor<2x2xi32>
  %f = tensor.empty() : tensor<3x3xi32>
  %0 = linalg.matmul ins(%x, %c0 : tensor<2x2xi32>, tensor<2x2xi32>) outs(%e : tensor<2x2xi32>) -> tensor<2x2xi32>
  %1 = linalg.matmul ins(%y, %c1 : tensor<3x3xi32>, tensor<3x3xi32>) outs(%f : tensor<3x3xi32>) -> tensor<3x3xi32>
  util.return %0, %1 : tensor<2x2xi32>, tensor<3x3xi32>
}

// -----

#id = affine_map<(d0) -> (d0)>

// CHECK-LABEL: @other_body
//   CHECK-NOT: util.optimization_barrier
util.func public @other_body(%x: tensor<2xi32>) -> tensor<2xi32> {
  %c0 = arith.constant dense<[0, 1]> : tensor<2xi32>
  %c1 = arith.constant dense<[2, 3]> : tensor<2xi32>
  %e = tensor.empty() : tensor<2xi32>
  %0 = linalg.generic {indexing_maps = [#id, #id, #id], iterator_types = ["parallel"]} ins(%x, %c0 : tensor<2xi32>, tensor<2xi32>) outs(%e : tensor<2xi32>) {
  ^bb0(%in: i32, %c: i32, %out: i32):
    %n = arith.addi %in, %c : i32
    linalg.yield %n : i32
  } -> tensor<2xi32>
  %1 = linalg.generic {indexing_maps = [#id, #id, #id], iterator_types = ["parallel"]} ins(%0, %c1 : tensor<2xi32>, tensor<2xi32>) outs(%e : tensor<2xi32>) {
  ^bb0(%in: i32, %c: i32, %out: i32):
    %n = arith.subi %in, %c : i32
    linalg.yield %n : i32
  } -> tensor<2xi32>
  util.return %1 : tensor<2xi32>
}

// -----

// CHECK-LABEL: @other_operands
//   CHECK-NOT: util.optimization_barrier
util.func public @other_operands(%x: tensor<2x2xi32>) -> tensor<2x2xi32> {
  %c0 = arith.constant dense<[[0, 1], [2, 3]]> : tensor<2x2xi32>
  %c1 = arith.constant dense<[[4, 5], [6, 7]]> : tensor<2x2xi32>
  %e = tensor.empty() : tensor<2x2xi32>
  %0 = linalg.matmul ins(%x, %c0 : tensor<2x2xi32>, tensor<2x2xi32>) outs(%e : tensor<2x2xi32>) -> tensor<2x2xi32>
  %1 = linalg.matmul ins(%c1, %c1 : tensor<2x2xi32>, tensor<2x2xi32>) outs(%e : tensor<2x2xi32>) -> tensor<2x2xi32>
  %2 = linalg.matmul ins(%0, %1 : tensor<2x2xi32>, tensor<2x2xi32>) outs(%e : tensor<2x2xi32>) -> tensor<2x2xi32>
  util.return %2 : tensor<2x2xi32>
}

// -----

// CHECK-LABEL: @equal_splat_or_large
//   CHECK-NOT: util.optimization_barrier
util.func public @equal_splat_or_large(%x: tensor<1x1xi64>, %y: tensor<2x2xi32>) -> (tensor<1x33xi64>, tensor<2x2xi32>, tensor<2x2xi32>) {
  %large0 = arith.constant dense<[[0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31, 32]]> : tensor<1x33xi64>
  %large1 = arith.constant dense<[[0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31, 33]]> : tensor<1x33xi64>
  %splat0 = arith.constant dense<1> : tensor<2x2xi32>
  %splat1 = arith.constant dense<2> : tensor<2x2xi32>
  %equal = arith.constant dense<[[1, 2], [3, 4]]> : tensor<2x2xi32>
  %e = tensor.empty() : tensor<1x33xi64>
  %f = tensor.empty() : tensor<2x2xi32>
  %0 = linalg.matmul ins(%x, %large0 : tensor<1x1xi64>, tensor<1x33xi64>) outs(%e : tensor<1x33xi64>) -> tensor<1x33xi64>
  %1 = linalg.matmul ins(%x, %large1 : tensor<1x1xi64>, tensor<1x33xi64>) outs(%0 : tensor<1x33xi64>) -> tensor<1x33xi64>
  %2 = linalg.matmul ins(%y, %splat0 : tensor<2x2xi32>, tensor<2x2xi32>) outs(%f : tensor<2x2xi32>) -> tensor<2x2xi32>
  %3 = linalg.matmul ins(%2, %splat1 : tensor<2x2xi32>, tensor<2x2xi32>) outs(%f : tensor<2x2xi32>) -> tensor<2x2xi32>
  %4 = linalg.matmul ins(%y, %equal : tensor<2x2xi32>, tensor<2x2xi32>) outs(%f : tensor<2x2xi32>) -> tensor<2x2xi32>
  %5 = linalg.matmul ins(%4, %equal : tensor<2x2xi32>, tensor<2x2xi32>) outs(%f : tensor<2x2xi32>) -> tensor<2x2xi32>
  util.return %1, %3, %5 : tensor<1x33xi64>, tensor<2x2xi32>, tensor<2x2xi32>
}
