// RUN: serenity-opt %s --serenity-prevent-fusion | FileCheck %s

// Tests that nothing is inserted where fusion only saves a buffer: behind a
// producer with a single elementwise user that reads nothing else.

#id = affine_map<(d0) -> (d0)>

// CHECK-LABEL: @chain
//   CHECK-NOT: util.optimization_barrier
//       CHECK: util.return
util.func public @chain(%x: tensor<8xf32>) -> tensor<8xf32> {
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
  util.return %b : tensor<8xf32>
}
