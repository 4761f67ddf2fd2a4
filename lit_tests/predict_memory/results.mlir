// REQUIRES: iree-compile
// RUN: iree-compile %s --iree-hal-target-device=local --iree-hal-local-target-device-backends=llvm-cpu --compile-to=preprocessing -o %t.mlir
// RUN: serenity-opt %t.mlir --pass-pipeline='builtin.module(serenity-predict-memory{reuse=true})' | FileCheck %s
// RUN: serenity-opt %t.mlir --pass-pipeline='builtin.module(serenity-predict-memory)' | FileCheck %s --check-prefix=ALONE
// RUN: serenity-compile %s --iree-hal-target-device=local --iree-hal-local-target-device-backends=llvm-cpu --compile-to=stream --serenity-rewrite=off --serenity-report=%t.json -o %t.vmfb
// RUN: FileCheck %s --check-prefix=BUILT < %t.json

// Tests predictions in which buffers lie in the memory of results against the
// slabs that IREE allocates. All products but the small ones are 4,096 bytes.

// %a is read for the last time before the result is written, and lies there:
// the slab holds %b.

// CHECK-LABEL: @before_the_result
//  CHECK-SAME: serenity.predicted_peak_bytes = 4096 : i64
// ALONE-LABEL: @before_the_result
//  ALONE-SAME: serenity.predicted_peak_bytes = 8192 : i64
//       BUILT: "name": "before_the_result"
//       BUILT: "transient_peak_bytes": 4096
func.func @before_the_result(%x: tensor<32x32xf32>) -> tensor<32x32xf32> {
  %zero = arith.constant 0.0 : f32
  %e = tensor.empty() : tensor<32x32xf32>
  %init = linalg.fill ins(%zero : f32) outs(%e : tensor<32x32xf32>) -> tensor<32x32xf32>
  %a = linalg.matmul ins(%x, %x : tensor<32x32xf32>, tensor<32x32xf32>) outs(%init : tensor<32x32xf32>) -> tensor<32x32xf32>
  %b = linalg.matmul ins(%a, %x : tensor<32x32xf32>, tensor<32x32xf32>) outs(%init : tensor<32x32xf32>) -> tensor<32x32xf32>
  %y = linalg.matmul ins(%b, %x : tensor<32x32xf32>, tensor<32x32xf32>) outs(%init : tensor<32x32xf32>) -> tensor<32x32xf32>
  return %y : tensor<32x32xf32>
}

// The large result is written first: nothing lies there.

// CHECK-LABEL: @early_result
//  CHECK-SAME: serenity.predicted_peak_bytes = 8192 : i64
//       BUILT: "name": "early_result"
//       BUILT: "transient_peak_bytes": 8192
func.func @early_result(%x: tensor<32x32xf32>, %w: tensor<32x8xf32>) -> (tensor<32x32xf32>, tensor<32x8xf32>) {
  %zero = arith.constant 0.0 : f32
  %e = tensor.empty() : tensor<32x32xf32>
  %init = linalg.fill ins(%zero : f32) outs(%e : tensor<32x32xf32>) -> tensor<32x32xf32>
  %y = linalg.matmul ins(%x, %x : tensor<32x32xf32>, tensor<32x32xf32>) outs(%init : tensor<32x32xf32>) -> tensor<32x32xf32>
  %a = linalg.matmul ins(%y, %x : tensor<32x32xf32>, tensor<32x32xf32>) outs(%init : tensor<32x32xf32>) -> tensor<32x32xf32>
  %b = linalg.matmul ins(%a, %x : tensor<32x32xf32>, tensor<32x32xf32>) outs(%init : tensor<32x32xf32>) -> tensor<32x32xf32>
  %f = tensor.empty() : tensor<32x8xf32>
  %g = linalg.fill ins(%zero : f32) outs(%f : tensor<32x8xf32>) -> tensor<32x8xf32>
  %z = linalg.matmul ins(%b, %w : tensor<32x32xf32>, tensor<32x8xf32>) outs(%g : tensor<32x8xf32>) -> tensor<32x8xf32>
  return %y, %z : tensor<32x32xf32>, tensor<32x8xf32>
}

// The first part of the result is written first; the place of the second one
// holds %a until that is written.

// CHECK-LABEL: @parts_of_the_result
//  CHECK-SAME: serenity.predicted_peak_bytes = 4096 : i64
//       BUILT: "name": "parts_of_the_result"
//       BUILT: "transient_peak_bytes": 4096
func.func @parts_of_the_result(%x: tensor<32x32xf32>) -> tensor<64x32xf32> {
  %zero = arith.constant 0.0 : f32
  %e = tensor.empty() : tensor<32x32xf32>
  %init = linalg.fill ins(%zero : f32) outs(%e : tensor<32x32xf32>) -> tensor<32x32xf32>
  %p = linalg.matmul ins(%x, %x : tensor<32x32xf32>, tensor<32x32xf32>) outs(%init : tensor<32x32xf32>) -> tensor<32x32xf32>
  %a = linalg.matmul ins(%p, %x : tensor<32x32xf32>, tensor<32x32xf32>) outs(%init : tensor<32x32xf32>) -> tensor<32x32xf32>
  %b = linalg.matmul ins(%a, %x : tensor<32x32xf32>, tensor<32x32xf32>) outs(%init : tensor<32x32xf32>) -> tensor<32x32xf32>
  %q = linalg.matmul ins(%b, %x : tensor<32x32xf32>, tensor<32x32xf32>) outs(%init : tensor<32x32xf32>) -> tensor<32x32xf32>
  %y = tensor.concat dim(0) %p, %q : (tensor<32x32xf32>, tensor<32x32xf32>) -> tensor<64x32xf32>
  return %y : tensor<64x32xf32>
}

// A result that is too small for either of %a and %b.

// CHECK-LABEL: @small_result
//  CHECK-SAME: serenity.predicted_peak_bytes = 8192 : i64
//       BUILT: "name": "small_result"
//       BUILT: "transient_peak_bytes": 8192
func.func @small_result(%x: tensor<32x32xf32>, %w: tensor<32x8xf32>) -> tensor<32x8xf32> {
  %zero = arith.constant 0.0 : f32
  %e = tensor.empty() : tensor<32x32xf32>
  %init = linalg.fill ins(%zero : f32) outs(%e : tensor<32x32xf32>) -> tensor<32x32xf32>
  %a = linalg.matmul ins(%x, %x : tensor<32x32xf32>, tensor<32x32xf32>) outs(%init : tensor<32x32xf32>) -> tensor<32x32xf32>
  %b = linalg.matmul ins(%a, %x : tensor<32x32xf32>, tensor<32x32xf32>) outs(%init : tensor<32x32xf32>) -> tensor<32x32xf32>
  %f = tensor.empty() : tensor<32x8xf32>
  %g = linalg.fill ins(%zero : f32) outs(%f : tensor<32x8xf32>) -> tensor<32x8xf32>
  %y = linalg.matmul ins(%b, %w : tensor<32x32xf32>, tensor<32x8xf32>) outs(%g : tensor<32x8xf32>) -> tensor<32x8xf32>
  return %y : tensor<32x8xf32>
}
