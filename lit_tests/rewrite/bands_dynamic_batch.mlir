// RUN: serenity-opt %s --pass-pipeline='builtin.module(serenity-rewrite{rewrite=off bands=2})' | FileCheck %s

// Tests that a chain of integer contractions with a dynamic batch is computed in
// two bands of rows, which are static. The barrier between them is made again in
// each band, of 8 channels of 4 rows of 8, with the batch written beside it.

// CHECK-LABEL: @dynamic_batch
//  CHECK-SAME: (%[[N:.+]]: index, %[[X:.+]]: tensor<?x1x8x8xi8>)
//       CHECK: tensor.extract_slice %[[X]][0, 0, %{{.+}}, 0] [%{{.+}}, 1, 4, 8]
//       CHECK: %[[A:.+]] = linalg.conv_2d_nchw_fchw {{.+}} -> tensor<?x8x4x8xi32>
//       CHECK: %[[Q:.+]] = linalg.generic {{.+}} ins(%[[A]], %{{.+}} : tensor<?x8x4x8xi32>, tensor<8xi32>)
//       CHECK: %[[B:.+]] = util.optimization_barrier {serenity.barrier} %[[Q]] : tensor<?x8x4x8xi8>
//       CHECK: %[[T:.+]] = flow.tensor.tie_shape %[[B]] : tensor<?x8x4x8xi8>{%[[N]]}
//       CHECK: linalg.conv_2d_nchw_fchw {{.+}} ins(%[[T]], %{{.+}} -> tensor<?x1x4x8xi32>
//       CHECK: %[[Y:.+]] = tensor.insert_slice %{{.+}}[0, 0, %{{.+}}, 0] [%[[N]], 1, 4, 8]
//       CHECK: tensor.extract_slice %[[X]][0, 0, %{{.+}}, 0] [%{{.+}}, 1, 4, 8]
//       CHECK: tensor.insert_slice %{{.+}} into %[[Y]]
#all = affine_map<(n, f, h, w) -> (n, f, h, w)>
#channel = affine_map<(n, f, h, w) -> (f)>
util.func public @dynamic_batch(%n: index, %x: tensor<?x1x8x8xi8>) -> tensor<?x1x8x8xi32> {
  %zero = arith.constant 0 : i32
  %w = arith.constant dense<3> : tensor<8x1x1x1xi8>
  %v = arith.constant dense<2> : tensor<1x8x1x1xi8>
  %h = tensor.empty(%n) : tensor<?x1x8x8xi32>
  %o = linalg.fill ins(%zero : i32) outs(%h : tensor<?x1x8x8xi32>) -> tensor<?x1x8x8xi32>
  %e = tensor.empty(%n) : tensor<?x8x8x8xi32>
  %z = linalg.fill ins(%zero : i32) outs(%e : tensor<?x8x8x8xi32>) -> tensor<?x8x8x8xi32>
  %a = linalg.conv_2d_nchw_fchw {dilations = dense<1> : vector<2xi64>, strides = dense<1> : vector<2xi64>} ins(%x, %w : tensor<?x1x8x8xi8>, tensor<8x1x1x1xi8>) outs(%z : tensor<?x8x8x8xi32>) -> tensor<?x8x8x8xi32>
  %f = tensor.empty() : tensor<8xi32>
  %y = linalg.fill ins(%zero : i32) outs(%f : tensor<8xi32>) -> tensor<8xi32>
  %sum = linalg.generic {indexing_maps = [affine_map<(f, c, h, w) -> (f, c, h, w)>, affine_map<(f, c, h, w) -> (f)>], iterator_types = ["parallel", "reduction", "reduction", "reduction"]}
      ins(%w : tensor<8x1x1x1xi8>) outs(%y : tensor<8xi32>) {
  ^bb0(%in: i8, %out: i32):
    %wide = arith.extsi %in : i8 to i32
    %s = arith.addi %out, %wide : i32
    linalg.yield %s : i32
  } -> tensor<8xi32>
  %g = tensor.empty(%n) : tensor<?x8x8x8xi8>
  %q = linalg.generic {indexing_maps = [#all, #channel, #all], iterator_types = ["parallel", "parallel", "parallel", "parallel"]}
      ins(%a, %sum : tensor<?x8x8x8xi32>, tensor<8xi32>) outs(%g : tensor<?x8x8x8xi8>) {
  ^bb0(%in: i32, %share: i32, %out: i8):
    %d = arith.subi %in, %share : i32
    %t = arith.trunci %d : i32 to i8
    linalg.yield %t : i8
  } -> tensor<?x8x8x8xi8>
  %bb = util.optimization_barrier {serenity.barrier} %q : tensor<?x8x8x8xi8>
  %b = flow.tensor.tie_shape %bb : tensor<?x8x8x8xi8>{%n}
  %c = linalg.conv_2d_nchw_fchw {dilations = dense<1> : vector<2xi64>, strides = dense<1> : vector<2xi64>} ins(%b, %v : tensor<?x8x8x8xi8>, tensor<1x8x1x1xi8>) outs(%o : tensor<?x1x8x8xi32>) -> tensor<?x1x8x8xi32>
  util.return %c : tensor<?x1x8x8xi32>
}
