// REQUIRES: iree-compile, iree-3.13
// RUN: iree-compile %s --iree-hal-target-device=local --iree-hal-local-target-device-backends=llvm-cpu --compile-to=preprocessing -o %t.mlir
// RUN: serenity-opt %t.mlir --pass-pipeline='builtin.module(serenity-predict-memory{reuse=true})' | FileCheck %s
// RUN: serenity-opt %t.mlir --serenity-predict-memory | FileCheck %s --check-prefix=ALONE
// RUN: serenity-compile %s --iree-hal-target-device=local --iree-hal-local-target-device-backends=llvm-cpu --compile-to=stream --serenity-rewrite=off --serenity-report=%t.json -o %t.vmfb
// RUN: FileCheck %s --check-prefix=BUILT < %t.json

// Tests predictions of integer arithmetic against the slabs that IREE
// allocates.

#id = affine_map<(d0, d1) -> (d0, d1)>
#rows = affine_map<(d0, d1) -> (d0)>
#scalar = affine_map<(d0, d1) -> ()>

// What quantizes an accumulator is its epilogue though it writes narrower
// elements: %q and %r are stored, 1,024 bytes each, and no accumulator.

// CHECK-LABEL: @accumulator
//  CHECK-SAME: serenity.predicted_peak_bytes = 2048 : i64
// ALONE-LABEL: @accumulator
//  ALONE-SAME: serenity.predicted_peak_bytes = 2048 : i64
//       BUILT: "name": "accumulator"
//       BUILT: "transient_peak_bytes": 2048
func.func @accumulator(%x: tensor<32x32xi8>) -> tensor<32x2xi32> {
  %zero = arith.constant 0 : i32
  %e = tensor.empty() : tensor<32x32xi32>
  %init = linalg.fill ins(%zero : i32) outs(%e : tensor<32x32xi32>) -> tensor<32x32xi32>
  %a = linalg.matmul ins(%x, %x : tensor<32x32xi8>, tensor<32x32xi8>) outs(%init : tensor<32x32xi32>) -> tensor<32x32xi32>
  %n = tensor.empty() : tensor<32x32xi8>
  %q = linalg.generic {indexing_maps = [#id, #id], iterator_types = ["parallel", "parallel"]} ins(%a : tensor<32x32xi32>) outs(%n : tensor<32x32xi8>) {
  ^bb0(%p: i32, %out: i8):
    %t = arith.trunci %p : i32 to i8
    linalg.yield %t : i8
  } -> tensor<32x32xi8>
  %b = linalg.matmul ins(%q, %x : tensor<32x32xi8>, tensor<32x32xi8>) outs(%init : tensor<32x32xi32>) -> tensor<32x32xi32>
  %r = linalg.generic {indexing_maps = [#id, #id], iterator_types = ["parallel", "parallel"]} ins(%b : tensor<32x32xi32>) outs(%n : tensor<32x32xi8>) {
  ^bb0(%p: i32, %out: i8):
    %t = arith.trunci %p : i32 to i8
    linalg.yield %t : i8
  } -> tensor<32x32xi8>
  %w = arith.constant dense<1> : tensor<32x2xi8>
  %f = tensor.empty() : tensor<32x2xi32>
  %g = linalg.fill ins(%zero : i32) outs(%f : tensor<32x2xi32>) -> tensor<32x2xi32>
  %y = linalg.matmul ins(%r, %w : tensor<32x32xi8>, tensor<32x2xi8>) outs(%g : tensor<32x2xi32>) -> tensor<32x2xi32>
  return %y : tensor<32x2xi32>
}

// A reader of an accumulator that makes more elements of it is no epilogue: the
// sum of each row is stored, 128 bytes in all, and the integers that are made
// of it. With the memory of the result it lies there.

// CHECK-LABEL: @broadcast
//  CHECK-SAME: serenity.predicted_peak_bytes = 1024 : i64
// ALONE-LABEL: @broadcast
//  ALONE-SAME: serenity.predicted_peak_bytes = 1152 : i64
//       BUILT: "name": "broadcast"
//       BUILT: "transient_peak_bytes": 1024
func.func @broadcast(%x: tensor<32x32xi32>, %v: tensor<32x32xi8>) -> tensor<32x2xi32> {
  %zero = arith.constant 0 : i32
  %e = tensor.empty() : tensor<32xi32>
  %init = linalg.fill ins(%zero : i32) outs(%e : tensor<32xi32>) -> tensor<32xi32>
  %a = linalg.generic {indexing_maps = [#id, #rows], iterator_types = ["parallel", "reduction"]} ins(%x : tensor<32x32xi32>) outs(%init : tensor<32xi32>) {
  ^bb0(%p: i32, %out: i32):
    %s = arith.addi %p, %out : i32
    linalg.yield %s : i32
  } -> tensor<32xi32>
  %n = tensor.empty() : tensor<32x32xi8>
  %q = linalg.generic {indexing_maps = [#rows, #id, #id], iterator_types = ["parallel", "parallel"]} ins(%a, %v : tensor<32xi32>, tensor<32x32xi8>) outs(%n : tensor<32x32xi8>) {
  ^bb0(%p: i32, %o: i8, %out: i8):
    %t = arith.trunci %p : i32 to i8
    %u = arith.addi %t, %o : i8
    linalg.yield %u : i8
  } -> tensor<32x32xi8>
  %w = arith.constant dense<1> : tensor<32x2xi8>
  %f = tensor.empty() : tensor<32x2xi32>
  %g = linalg.fill ins(%zero : i32) outs(%f : tensor<32x2xi32>) -> tensor<32x2xi32>
  %y = linalg.matmul ins(%q, %w : tensor<32x32xi8>, tensor<32x2xi8>) outs(%g : tensor<32x2xi32>) -> tensor<32x2xi32>
  return %y : tensor<32x2xi32>
}

// Integers that are widened for a reduction over them, which two readers do,
// are stored as they are: 4,096 bytes and not 16,384.

// CHECK-LABEL: @integers_widened
//  CHECK-SAME: serenity.predicted_peak_bytes = 4096 : i64
// ALONE-LABEL: @integers_widened
//  ALONE-SAME: serenity.predicted_peak_bytes = 4096 : i64
//       BUILT: "name": "integers_widened"
//       BUILT: "transient_peak_bytes": 4096
func.func @integers_widened(%x: tensor<64x64xi8>) -> (tensor<64xf32>, tensor<64xf32>) {
  %zero = arith.constant 0 : i32
  %low = arith.constant 0.0 : f32
  %e = tensor.empty() : tensor<64x64xi32>
  %init = linalg.fill ins(%zero : i32) outs(%e : tensor<64x64xi32>) -> tensor<64x64xi32>
  %a = linalg.matmul ins(%x, %x : tensor<64x64xi8>, tensor<64x64xi8>) outs(%init : tensor<64x64xi32>) -> tensor<64x64xi32>
  %n = tensor.empty() : tensor<64x64xi8>
  %q = linalg.generic {indexing_maps = [#id, #id], iterator_types = ["parallel", "parallel"]} ins(%a : tensor<64x64xi32>) outs(%n : tensor<64x64xi8>) {
  ^bb0(%p: i32, %out: i8):
    %t = arith.trunci %p : i32 to i8
    linalg.yield %t : i8
  } -> tensor<64x64xi8>
  %h = tensor.empty() : tensor<64x64xf32>
  %d = linalg.generic {indexing_maps = [#id, #id], iterator_types = ["parallel", "parallel"]} ins(%q : tensor<64x64xi8>) outs(%h : tensor<64x64xf32>) {
  ^bb0(%p: i8, %out: f32):
    %t = arith.sitofp %p : i8 to f32
    linalg.yield %t : f32
  } -> tensor<64x64xf32>
  %k = tensor.empty() : tensor<64xf32>
  %l = linalg.fill ins(%low : f32) outs(%k : tensor<64xf32>) -> tensor<64xf32>
  %y = linalg.generic {indexing_maps = [#id, #rows], iterator_types = ["parallel", "reduction"]} ins(%d : tensor<64x64xf32>) outs(%l : tensor<64xf32>) {
  ^bb0(%p: f32, %out: f32):
    %s = arith.addf %p, %out : f32
    linalg.yield %s : f32
  } -> tensor<64xf32>
  %z = linalg.generic {indexing_maps = [affine_map<(d0, d1) -> (d1, d0)>, #rows], iterator_types = ["parallel", "reduction"]} ins(%d : tensor<64x64xf32>) outs(%l : tensor<64xf32>) {
  ^bb0(%p: f32, %out: f32):
    %s = arith.maximumf %p, %out : f32
    linalg.yield %s : f32
  } -> tensor<64xf32>
  return %y, %z : tensor<64xf32>, tensor<64xf32>
}

// What another operation than a loop nest reads is stored as wide as it is.

// CHECK-LABEL: @kept_wide
//  CHECK-SAME: serenity.predicted_peak_bytes = 16384 : i64
// ALONE-LABEL: @kept_wide
//  ALONE-SAME: serenity.predicted_peak_bytes = 16384 : i64
//       BUILT: "name": "kept_wide"
//       BUILT: "transient_peak_bytes": 16384
func.func @kept_wide(%x: tensor<64x64xi8>) -> tensor<64xf32> {
  %low = arith.constant 0.0 : f32
  %h = tensor.empty() : tensor<64x64xf32>
  %d = linalg.generic {indexing_maps = [#id, #id], iterator_types = ["parallel", "parallel"]} ins(%x : tensor<64x64xi8>) outs(%h : tensor<64x64xf32>) {
  ^bb0(%p: i8, %out: f32):
    %t = arith.sitofp %p : i8 to f32
    linalg.yield %t : f32
  } -> tensor<64x64xf32>
  %b = util.optimization_barrier %d : tensor<64x64xf32>
  %k = tensor.empty() : tensor<64xf32>
  %l = linalg.fill ins(%low : f32) outs(%k : tensor<64xf32>) -> tensor<64xf32>
  %y = linalg.generic {indexing_maps = [#id, #rows], iterator_types = ["parallel", "reduction"]} ins(%b : tensor<64x64xf32>) outs(%l : tensor<64xf32>) {
  ^bb0(%p: f32, %out: f32):
    %s = arith.addf %p, %out : f32
    linalg.yield %s : f32
  } -> tensor<64xf32>
  return %y : tensor<64xf32>
}

// A contraction over dequantized values is raised to integers, and its
// quantized result is stored, 1,024 bytes, as are the integers of the input.

// CHECK-LABEL: @raised
//  CHECK-SAME: serenity.predicted_peak_bytes = 2048 : i64
// ALONE-LABEL: @raised
//  ALONE-SAME: serenity.predicted_peak_bytes = 2048 : i64
//       BUILT: "name": "raised"
//       BUILT: "transient_peak_bytes": 2048
func.func @raised(%x: tensor<32x32xf32>) -> tensor<32x2xf32> {
  %s = arith.constant 0.5 : f32
  %low = arith.constant 0.0 : f32
  %w = arith.constant dense<3> : tensor<32x32xi8>
  %e = tensor.empty() : tensor<32x32xf32>
  %n = tensor.empty() : tensor<32x32xi8>
  %init = linalg.fill ins(%low : f32) outs(%e : tensor<32x32xf32>) -> tensor<32x32xf32>
  %v = iree_linalg_ext.dequantize_affine <indexing_maps = [#id, #scalar, #id], quant_min = -128, quant_max = 127>
      ins(%w, %s : tensor<32x32xi8>, f32) outs(%e : tensor<32x32xf32>) -> tensor<32x32xf32>
  %q = iree_linalg_ext.quantize_affine <indexing_maps = [#id, #scalar, #id], quant_min = -128, quant_max = 127>
      ins(%x, %s : tensor<32x32xf32>, f32) outs(%n : tensor<32x32xi8>) -> tensor<32x32xi8>
  %d = iree_linalg_ext.dequantize_affine <indexing_maps = [#id, #scalar, #id], quant_min = -128, quant_max = 127>
      ins(%q, %s : tensor<32x32xi8>, f32) outs(%e : tensor<32x32xf32>) -> tensor<32x32xf32>
  %a = linalg.matmul ins(%d, %v : tensor<32x32xf32>, tensor<32x32xf32>) outs(%init : tensor<32x32xf32>) -> tensor<32x32xf32>
  %r = iree_linalg_ext.quantize_affine <indexing_maps = [#id, #scalar, #id], quant_min = -128, quant_max = 127>
      ins(%a, %s : tensor<32x32xf32>, f32) outs(%n : tensor<32x32xi8>) -> tensor<32x32xi8>
  %f = iree_linalg_ext.dequantize_affine <indexing_maps = [#id, #scalar, #id], quant_min = -128, quant_max = 127>
      ins(%r, %s : tensor<32x32xi8>, f32) outs(%e : tensor<32x32xf32>) -> tensor<32x32xf32>
  %u = arith.constant dense<5> : tensor<32x2xi8>
  %g = tensor.empty() : tensor<32x2xf32>
  %h = iree_linalg_ext.dequantize_affine <indexing_maps = [#id, #scalar, #id], quant_min = -128, quant_max = 127>
      ins(%u, %s : tensor<32x2xi8>, f32) outs(%g : tensor<32x2xf32>) -> tensor<32x2xf32>
  %k = linalg.fill ins(%low : f32) outs(%g : tensor<32x2xf32>) -> tensor<32x2xf32>
  %y = linalg.matmul ins(%f, %h : tensor<32x32xf32>, tensor<32x2xf32>) outs(%k : tensor<32x2xf32>) -> tensor<32x2xf32>
  return %y : tensor<32x2xf32>
}
