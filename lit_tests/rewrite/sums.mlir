// RUN: serenity-opt %s --serenity-rewrite --split-input-file | FileCheck %s
// RUN: serenity-opt %s --serenity-rewrite='rewrite=off' --split-input-file | FileCheck %s --check-prefix=OFF

// Tests that a sum of several values takes them one at a time: every partial
// sum but the last stands behind a barrier, which keeps it from being fused
// into one operation that needs all operands at once.

// CHECK-LABEL: @four_terms
// CHECK-COUNT-2: util.optimization_barrier {serenity.barrier}
//   CHECK-NOT: util.optimization_barrier
//       CHECK: util.return

// Tests that `off` leaves it alone.

// OFF-LABEL: @four_terms
//   OFF-NOT: util.optimization_barrier
#id = affine_map<(d0) -> (d0)>
util.func public @four_terms(%a: tensor<64xf32>, %b: tensor<64xf32>, %c: tensor<64xf32>, %d: tensor<64xf32>) -> tensor<64xf32> {
  %e = tensor.empty() : tensor<64xf32>
  %ab = linalg.generic {indexing_maps = [#id, #id, #id], iterator_types = ["parallel"]} ins(%a, %b : tensor<64xf32>, tensor<64xf32>) outs(%e : tensor<64xf32>) {
  ^bb0(%x: f32, %y: f32, %out: f32):
    %s = arith.addf %x, %y : f32
    linalg.yield %s : f32
  } -> tensor<64xf32>
  %abc = linalg.generic {indexing_maps = [#id, #id, #id], iterator_types = ["parallel"]} ins(%ab, %c : tensor<64xf32>, tensor<64xf32>) outs(%e : tensor<64xf32>) {
  ^bb0(%x: f32, %y: f32, %out: f32):
    %s = arith.addf %x, %y : f32
    linalg.yield %s : f32
  } -> tensor<64xf32>
  %abcd = linalg.generic {indexing_maps = [#id, #id, #id], iterator_types = ["parallel"]} ins(%abc, %d : tensor<64xf32>, tensor<64xf32>) outs(%e : tensor<64xf32>) {
  ^bb0(%x: f32, %y: f32, %out: f32):
    %s = arith.addf %x, %y : f32
    linalg.yield %s : f32
  } -> tensor<64xf32>
  util.return %abcd : tensor<64xf32>
}

// -----

// Tests that no partial sum promises what the program promises of others only.

// CHECK-LABEL: @promises
//   CHECK-NOT: overflow
//       CHECK: arith.addi
//       CHECK: util.optimization_barrier {serenity.barrier}
//   CHECK-NOT: overflow
//       CHECK: util.return
// OFF-LABEL: @promises
//       OFF: overflow<nsw>
#id = affine_map<(d0) -> (d0)>
util.func public @promises(%a: tensor<64xi32>, %b: tensor<64xi32>, %c: tensor<64xi32>) -> tensor<64xi32> {
  %e = tensor.empty() : tensor<64xi32>
  %ab = linalg.generic {indexing_maps = [#id, #id, #id], iterator_types = ["parallel"]} ins(%a, %b : tensor<64xi32>, tensor<64xi32>) outs(%e : tensor<64xi32>) {
  ^bb0(%x: i32, %y: i32, %out: i32):
    %s = arith.addi %x, %y : i32
    linalg.yield %s : i32
  } -> tensor<64xi32>
  %abc = linalg.generic {indexing_maps = [#id, #id, #id], iterator_types = ["parallel"]} ins(%ab, %c : tensor<64xi32>, tensor<64xi32>) outs(%e : tensor<64xi32>) {
  ^bb0(%x: i32, %y: i32, %out: i32):
    %s = arith.addi %x, %y overflow<nsw> : i32
    linalg.yield %s : i32
  } -> tensor<64xi32>
  util.return %abc : tensor<64xi32>
}

// -----

// Tests that nothing is rewritten where a product begins with an argument that
// it reads: alone in a dispatch, IREE ends by a signal on that product.

// CHECK-LABEL: @reads_own_initial_value
//   CHECK-NOT: util.optimization_barrier
//       CHECK: util.return
#square = affine_map<(d0, d1) -> (d0, d1)>
util.func public @reads_own_initial_value(%a: tensor<8x8xf32>, %w: tensor<8x8xf32>, %b: tensor<8x8xf32>, %c: tensor<8x8xf32>) -> tensor<8x8xf32> {
  %e = tensor.empty() : tensor<8x8xf32>
  %p = linalg.matmul ins(%a, %w : tensor<8x8xf32>, tensor<8x8xf32>) outs(%a : tensor<8x8xf32>) -> tensor<8x8xf32>
  %pb = linalg.generic {indexing_maps = [#square, #square, #square], iterator_types = ["parallel", "parallel"]} ins(%p, %b : tensor<8x8xf32>, tensor<8x8xf32>) outs(%e : tensor<8x8xf32>) {
  ^bb0(%x: f32, %y: f32, %out: f32):
    %s = arith.addf %x, %y : f32
    linalg.yield %s : f32
  } -> tensor<8x8xf32>
  %pbc = linalg.generic {indexing_maps = [#square, #square, #square], iterator_types = ["parallel", "parallel"]} ins(%pb, %c : tensor<8x8xf32>, tensor<8x8xf32>) outs(%e : tensor<8x8xf32>) {
  ^bb0(%x: f32, %y: f32, %out: f32):
    %s = arith.addf %x, %y : f32
    linalg.yield %s : f32
  } -> tensor<8x8xf32>
  util.return %pbc : tensor<8x8xf32>
}
