// RUN: serenity-opt %s --serenity-prevent-fusion --split-input-file | FileCheck %s

// Tests that a barrier stands between a producer and the pad that reads it, and
// that the pad reads the barrier.

#id = affine_map<(d0) -> (d0)>

// CHECK-LABEL: @padded
//       CHECK: %[[A:.+]] = linalg.generic
//       CHECK: %[[KEPT:.+]] = util.optimization_barrier {serenity.barrier} %[[A]] : tensor<8xf32>
//       CHECK: tensor.pad %[[KEPT]]
util.func public @padded(%x: tensor<8xf32>) -> tensor<10xf32> {
  %zero = arith.constant 0.0 : f32
  %e = tensor.empty() : tensor<8xf32>
  %a = linalg.generic {indexing_maps = [#id, #id], iterator_types = ["parallel"]} ins(%x : tensor<8xf32>) outs(%e : tensor<8xf32>) {
  ^bb0(%in: f32, %out: f32):
    %n = arith.negf %in : f32
    linalg.yield %n : f32
  } -> tensor<8xf32>
  %b = tensor.pad %a low[1] high[1] {
  ^bb0(%i: index):
    tensor.yield %zero : f32
  } : tensor<8xf32> to tensor<10xf32>
  util.return %b : tensor<10xf32>
}

// -----

// Tests that a producer with two users gets one barrier, which both read.

#id = affine_map<(d0) -> (d0)>

// CHECK-LABEL: @two_users
//       CHECK: %[[A:.+]] = linalg.generic
//       CHECK: %[[KEPT:.+]] = util.optimization_barrier {serenity.barrier} %[[A]]
//   CHECK-NOT: util.optimization_barrier
//       CHECK: linalg.generic {{.*}} ins(%[[KEPT]] :
//       CHECK: linalg.generic {{.*}} ins(%[[KEPT]] :
util.func public @two_users(%x: tensor<8xf32>) -> (tensor<8xf32>, tensor<8xf32>) {
  %e = tensor.empty() : tensor<8xf32>
  %a = linalg.generic {indexing_maps = [#id, #id], iterator_types = ["parallel"]} ins(%x : tensor<8xf32>) outs(%e : tensor<8xf32>) {
  ^bb0(%in: f32, %out: f32):
    %n = arith.negf %in : f32
    linalg.yield %n : f32
  } -> tensor<8xf32>
  %b = linalg.generic {indexing_maps = [#id, #id], iterator_types = ["parallel"]} ins(%a : tensor<8xf32>) outs(%e : tensor<8xf32>) {
  ^bb0(%in: f32, %out: f32):
    %n = math.exp %in : f32
    linalg.yield %n : f32
  } -> tensor<8xf32>
  %c = linalg.generic {indexing_maps = [#id, #id], iterator_types = ["parallel"]} ins(%a : tensor<8xf32>) outs(%e : tensor<8xf32>) {
  ^bb0(%in: f32, %out: f32):
    %n = math.tanh %in : f32
    linalg.yield %n : f32
  } -> tensor<8xf32>
  util.return %b, %c : tensor<8xf32>, tensor<8xf32>
}
