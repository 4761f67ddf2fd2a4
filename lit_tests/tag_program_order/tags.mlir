// RUN: serenity-opt %s --serenity-tag-program-order --mlir-print-debuginfo --mlir-print-local-scope --split-input-file | FileCheck %s

// Tests that operations of linalg and tensor are numbered in their order, around
// their own locations, and that others are not.

// CHECK-LABEL: util.func public @main
//       CHECK: arith.constant 0.000000e+00 : f32 loc("zero")
//       CHECK: tensor.empty() : tensor<8xf32> loc("serenity.order.0"("empty"))
//       CHECK: linalg.fill {{.*}} loc("serenity.order.1"("fill"))
util.func public @main() -> tensor<8xf32> {
  %zero = arith.constant 0.0 : f32 loc("zero")
  %e = tensor.empty() : tensor<8xf32> loc("empty")
  %z = linalg.fill ins(%zero : f32) outs(%e : tensor<8xf32>) -> tensor<8xf32> loc("fill")
  util.return %z : tensor<8xf32>
}

// -----

// Tests that functions of several blocks are left as they are.

// CHECK-LABEL: util.func public @blocks
//   CHECK-NOT: serenity.order
//       CHECK: util.return
util.func public @blocks() -> tensor<8xf32> {
  cf.br ^next
^next:
  %e = tensor.empty() : tensor<8xf32> loc("empty")
  util.return %e : tensor<8xf32>
}
