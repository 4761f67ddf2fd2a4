// RUN: serenity-opt %s --pass-pipeline='builtin.module(serenity-rewrite{rewrite=off bands=2})' | FileCheck %s

// Tests that an attention over a sequence of dynamic length, whose queries
// cannot be cut, is computed in two bands of heads: the scores of one head exist
// at a time.

// CHECK-LABEL: @attention
//   CHECK-SAME: (%[[Q:.+]]: tensor<2x?x4xf32>, %[[K:.+]]: tensor<2x4x?xf32>, %[[V:.+]]: tensor<2x?x4xf32>)
//       CHECK: %[[FROM0:.+]] = util.optimization_barrier {serenity.barrier} %c0
//       CHECK: tensor.extract_slice %[[Q]][%[[FROM0]], 0, 0] [1, %{{.+}}, 4]
//       CHECK: linalg.batch_matmul ins(%{{.+}}, %{{.+}} : tensor<1x?x4xf32>, tensor<1x4x?xf32>) outs(%{{.+}} : tensor<1x?x?xf32>)
//       CHECK: linalg.batch_matmul ins(%{{.+}}, %{{.+}} : tensor<1x?x?xf32>, tensor<1x?x4xf32>)
//       CHECK: %[[Y0:.+]] = tensor.insert_slice
//       CHECK: %[[FROM1:.+]] = util.optimization_barrier {serenity.barrier} %c1
//       CHECK: tensor.extract_slice %[[Q]][%[[FROM1]], 0, 0] [1, %{{.+}}, 4]
//       CHECK: tensor.insert_slice %{{.+}} into %[[Y0]]
#all = affine_map<(d0, d1, d2) -> (d0, d1, d2)>
#row = affine_map<(d0, d1, d2) -> (d0, d1)>
util.func public @attention(%q: tensor<2x?x4xf32>, %k: tensor<2x4x?xf32>, %v: tensor<2x?x4xf32>) -> tensor<2x?x4xf32> {
  %c1 = arith.constant 1 : index
  %zero = arith.constant 0.0 : f32
  %least = arith.constant 0xFF800000 : f32
  %n = tensor.dim %q, %c1 : tensor<2x?x4xf32>
  %es = tensor.empty(%n, %n) : tensor<2x?x?xf32>
  %er = tensor.empty(%n) : tensor<2x?xf32>
  %eo = tensor.empty(%n) : tensor<2x?x4xf32>
  %zs = linalg.fill ins(%zero : f32) outs(%es : tensor<2x?x?xf32>) -> tensor<2x?x?xf32>
  %zr = linalg.fill ins(%least : f32) outs(%er : tensor<2x?xf32>) -> tensor<2x?xf32>
  %zo = linalg.fill ins(%zero : f32) outs(%eo : tensor<2x?x4xf32>) -> tensor<2x?x4xf32>
  %s = linalg.batch_matmul ins(%q, %k : tensor<2x?x4xf32>, tensor<2x4x?xf32>) outs(%zs : tensor<2x?x?xf32>) -> tensor<2x?x?xf32>
  %m = linalg.generic {indexing_maps = [#all, #row], iterator_types = ["parallel", "parallel", "reduction"]} ins(%s : tensor<2x?x?xf32>) outs(%zr : tensor<2x?xf32>) {
  ^bb0(%in: f32, %max: f32):
    %larger = arith.maximumf %in, %max : f32
    linalg.yield %larger : f32
  } -> tensor<2x?xf32>
  %e = linalg.generic {indexing_maps = [#all, #row, #all], iterator_types = ["parallel", "parallel", "parallel"]} ins(%s, %m : tensor<2x?x?xf32>, tensor<2x?xf32>) outs(%es : tensor<2x?x?xf32>) {
  ^bb0(%in: f32, %max: f32, %out: f32):
    %less = arith.subf %in, %max : f32
    %x = math.exp %less : f32
    linalg.yield %x : f32
  } -> tensor<2x?x?xf32>
  %o = linalg.batch_matmul ins(%e, %v : tensor<2x?x?xf32>, tensor<2x?x4xf32>) outs(%zo : tensor<2x?x4xf32>) -> tensor<2x?x4xf32>
  util.return %o : tensor<2x?x4xf32>
}
