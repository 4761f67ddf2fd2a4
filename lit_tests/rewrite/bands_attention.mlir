// RUN: serenity-opt %s --pass-pipeline='builtin.module(serenity-rewrite{rewrite=off bands=2})' --split-input-file | FileCheck %s

// Tests that an attention is computed in two bands of queries: their scores and
// their softmax are half as large, keys and values are read whole. The maximum
// comes with its position, which nothing reads. No row is computed twice, so no
// extra work is allowed for.

// CHECK-LABEL: @attention
//   CHECK-SAME: (%[[Q:.+]]: tensor<2x8x4xf32>, %[[K:.+]]: tensor<2x4x8xf32>, %[[V:.+]]: tensor<2x8x4xf32>)
//       CHECK: linalg.fill {{.+}} -> tensor<2x8x4xf32>
//       CHECK: %[[Y:.+]] = tensor.empty() : tensor<2x8x4xf32>
//       CHECK: %[[FROM0:.+]] = util.optimization_barrier {serenity.barrier} %c0
//       CHECK: %[[Q0:.+]] = tensor.extract_slice %[[Q]][0, %[[FROM0]], 0] [2, 4, 4]
//       CHECK: %[[S0:.+]] = linalg.batch_matmul ins(%[[Q0]], %[[K]] : tensor<2x4x4xf32>, tensor<2x4x8xf32>) outs(%{{.+}} : tensor<2x4x8xf32>)
//       CHECK: %[[M0:.+]]:2 = linalg.generic {{.+}} ins(%[[S0]] : tensor<2x4x8xf32>) outs(%{{.+}}, %{{.+}} : tensor<2x4xf32>, tensor<2x4xi64>)
//       CHECK: linalg.index 2
//       CHECK: %[[E0:.+]] = linalg.generic {{.+}} ins(%[[S0]], %[[M0]]#0 : tensor<2x4x8xf32>, tensor<2x4xf32>)
//       CHECK: %[[O0:.+]] = linalg.batch_matmul ins(%[[E0]], %[[V]] : tensor<2x4x8xf32>, tensor<2x8x4xf32>)
//       CHECK: %[[Y0:.+]] = tensor.insert_slice %[[O0]] into %[[Y]]
//       CHECK: %[[FROM1:.+]] = util.optimization_barrier {serenity.barrier} %c4
//       CHECK: tensor.extract_slice %[[Q]][0, %[[FROM1]], 0] [2, 4, 4]
//       CHECK: %[[Y1:.+]] = tensor.insert_slice %{{.+}} into %[[Y0]]
//       CHECK: util.return %[[Y1]]
#all = affine_map<(d0, d1, d2) -> (d0, d1, d2)>
#row = affine_map<(d0, d1, d2) -> (d0, d1)>
util.func public @attention(%q: tensor<2x8x4xf32>, %k: tensor<2x4x8xf32>, %v: tensor<2x8x4xf32>) -> tensor<2x8x4xf32> {
  %zero = arith.constant 0.0 : f32
  %none = arith.constant 0 : i64
  %least = arith.constant 0xFF800000 : f32
  %es = tensor.empty() : tensor<2x8x8xf32>
  %er = tensor.empty() : tensor<2x8xf32>
  %ei = tensor.empty() : tensor<2x8xi64>
  %eo = tensor.empty() : tensor<2x8x4xf32>
  %zs = linalg.fill ins(%zero : f32) outs(%es : tensor<2x8x8xf32>) -> tensor<2x8x8xf32>
  %zr = linalg.fill ins(%least : f32) outs(%er : tensor<2x8xf32>) -> tensor<2x8xf32>
  %zi = linalg.fill ins(%none : i64) outs(%ei : tensor<2x8xi64>) -> tensor<2x8xi64>
  %zo = linalg.fill ins(%zero : f32) outs(%eo : tensor<2x8x4xf32>) -> tensor<2x8x4xf32>
  %s = linalg.batch_matmul ins(%q, %k : tensor<2x8x4xf32>, tensor<2x4x8xf32>) outs(%zs : tensor<2x8x8xf32>) -> tensor<2x8x8xf32>
  %m:2 = linalg.generic {indexing_maps = [#all, #row, #row], iterator_types = ["parallel", "parallel", "reduction"]} ins(%s : tensor<2x8x8xf32>) outs(%zr, %zi : tensor<2x8xf32>, tensor<2x8xi64>) {
  ^bb0(%in: f32, %max: f32, %at: i64):
    %i = linalg.index 2 : index
    %here = arith.index_cast %i : index to i64
    %larger = arith.maximumf %in, %max : f32
    %found = arith.cmpf ogt, %in, %max : f32
    %where = arith.select %found, %here, %at : i64
    linalg.yield %larger, %where : f32, i64
  } -> (tensor<2x8xf32>, tensor<2x8xi64>)
  %e = linalg.generic {indexing_maps = [#all, #row, #all], iterator_types = ["parallel", "parallel", "parallel"]} ins(%s, %m#0 : tensor<2x8x8xf32>, tensor<2x8xf32>) outs(%es : tensor<2x8x8xf32>) {
  ^bb0(%in: f32, %max: f32, %out: f32):
    %less = arith.subf %in, %max : f32
    %x = math.exp %less : f32
    linalg.yield %x : f32
  } -> tensor<2x8x8xf32>
  %o = linalg.batch_matmul ins(%e, %v : tensor<2x8x8xf32>, tensor<2x8x4xf32>) outs(%zo : tensor<2x8x4xf32>) -> tensor<2x8x4xf32>
  util.return %o : tensor<2x8x4xf32>
}

// -----

// Tests that the position of the maximum, where it is read, ends the segment.

// CHECK-LABEL: @position_is_read
//   CHECK-NOT: serenity.barrier
#all = affine_map<(d0, d1, d2) -> (d0, d1, d2)>
#row = affine_map<(d0, d1, d2) -> (d0, d1)>
util.func public @position_is_read(%q: tensor<2x8x4xf32>, %k: tensor<2x4x8xf32>) -> tensor<2x8xi64> {
  %zero = arith.constant 0.0 : f32
  %none = arith.constant 0 : i64
  %least = arith.constant 0xFF800000 : f32
  %es = tensor.empty() : tensor<2x8x8xf32>
  %er = tensor.empty() : tensor<2x8xf32>
  %ei = tensor.empty() : tensor<2x8xi64>
  %zs = linalg.fill ins(%zero : f32) outs(%es : tensor<2x8x8xf32>) -> tensor<2x8x8xf32>
  %zr = linalg.fill ins(%least : f32) outs(%er : tensor<2x8xf32>) -> tensor<2x8xf32>
  %zi = linalg.fill ins(%none : i64) outs(%ei : tensor<2x8xi64>) -> tensor<2x8xi64>
  %s = linalg.batch_matmul ins(%q, %k : tensor<2x8x4xf32>, tensor<2x4x8xf32>) outs(%zs : tensor<2x8x8xf32>) -> tensor<2x8x8xf32>
  %m:2 = linalg.generic {indexing_maps = [#all, #row, #row], iterator_types = ["parallel", "parallel", "reduction"]} ins(%s : tensor<2x8x8xf32>) outs(%zr, %zi : tensor<2x8xf32>, tensor<2x8xi64>) {
  ^bb0(%in: f32, %max: f32, %at: i64):
    %i = linalg.index 2 : index
    %here = arith.index_cast %i : index to i64
    %larger = arith.maximumf %in, %max : f32
    %found = arith.cmpf ogt, %in, %max : f32
    %where = arith.select %found, %here, %at : i64
    linalg.yield %larger, %where : f32, i64
  } -> (tensor<2x8xf32>, tensor<2x8xi64>)
  util.return %m#1 : tensor<2x8xi64>
}
