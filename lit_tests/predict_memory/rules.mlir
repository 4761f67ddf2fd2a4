// RUN: serenity-opt %s --serenity-predict-memory --split-input-file | FileCheck %s

#id = affine_map<(d0, d1) -> (d0, d1)>

// Tests that a product that is padded, and read nowhere else, is made in the
// padded tensor: 18 x 18 x 4 = 1,296 bytes, rounded up to 64. The result of the
// function is not counted.

// CHECK-LABEL: @product_into_pad
//  CHECK-SAME: serenity.predicted_peak_bytes = 1344 : i64
util.func public @product_into_pad(%x: tensor<16x16xf32>) -> tensor<18x4xf32> {
  %zero = arith.constant 0.0 : f32
  %w = arith.constant dense<1.0> : tensor<16x16xf32>
  %e = tensor.empty() : tensor<16x16xf32>
  %init = linalg.fill ins(%zero : f32) outs(%e : tensor<16x16xf32>) -> tensor<16x16xf32>
  %a = linalg.matmul ins(%x, %w : tensor<16x16xf32>, tensor<16x16xf32>) outs(%init : tensor<16x16xf32>) -> tensor<16x16xf32>
  %padded = tensor.pad %a low[1, 1] high[1, 1] {
  ^bb0(%i: index, %j: index):
    tensor.yield %zero : f32
  } : tensor<16x16xf32> to tensor<18x18xf32>
  %v = arith.constant dense<1.0> : tensor<18x4xf32>
  %f = tensor.empty() : tensor<18x4xf32>
  %g = linalg.fill ins(%zero : f32) outs(%f : tensor<18x4xf32>) -> tensor<18x4xf32>
  %y = linalg.matmul ins(%padded, %v : tensor<18x18xf32>, tensor<18x4xf32>) outs(%g : tensor<18x4xf32>) -> tensor<18x4xf32>
  util.return %y : tensor<18x4xf32>
}

// -----

// Tests that nothing is fused through a barrier: the product, 1,024 bytes, and
// its padded copy, 1,344, exist together.

// CHECK-LABEL: @barrier
//  CHECK-SAME: serenity.predicted_peak_bytes = 2368 : i64
util.func public @barrier(%x: tensor<16x16xf32>) -> tensor<18x4xf32> {
  %zero = arith.constant 0.0 : f32
  %w = arith.constant dense<1.0> : tensor<16x16xf32>
  %e = tensor.empty() : tensor<16x16xf32>
  %init = linalg.fill ins(%zero : f32) outs(%e : tensor<16x16xf32>) -> tensor<16x16xf32>
  %a = linalg.matmul ins(%x, %w : tensor<16x16xf32>, tensor<16x16xf32>) outs(%init : tensor<16x16xf32>) -> tensor<16x16xf32>
  %k = util.optimization_barrier %a : tensor<16x16xf32>
  %padded = tensor.pad %k low[1, 1] high[1, 1] {
  ^bb0(%i: index, %j: index):
    tensor.yield %zero : f32
  } : tensor<16x16xf32> to tensor<18x18xf32>
  %v = arith.constant dense<1.0> : tensor<18x4xf32>
  %f = tensor.empty() : tensor<18x4xf32>
  %g = linalg.fill ins(%zero : f32) outs(%f : tensor<18x4xf32>) -> tensor<18x4xf32>
  %y = linalg.matmul ins(%padded, %v : tensor<18x18xf32>, tensor<18x4xf32>) outs(%g : tensor<18x4xf32>) -> tensor<18x4xf32>
  util.return %y : tensor<18x4xf32>
}

// -----

// Tests that a product that is added to another one goes on in its memory.

// CHECK-LABEL: @accumulation
//  CHECK-SAME: serenity.predicted_peak_bytes = 1024 : i64
util.func public @accumulation(%x: tensor<16x16xf32>) -> tensor<16x4xf32> {
  %zero = arith.constant 0.0 : f32
  %w = arith.constant dense<1.0> : tensor<16x16xf32>
  %e = tensor.empty() : tensor<16x16xf32>
  %init = linalg.fill ins(%zero : f32) outs(%e : tensor<16x16xf32>) -> tensor<16x16xf32>
  %a = linalg.matmul ins(%x, %w : tensor<16x16xf32>, tensor<16x16xf32>) outs(%init : tensor<16x16xf32>) -> tensor<16x16xf32>
  %b = linalg.matmul ins(%x, %w : tensor<16x16xf32>, tensor<16x16xf32>) outs(%a : tensor<16x16xf32>) -> tensor<16x16xf32>
  %v = arith.constant dense<1.0> : tensor<16x4xf32>
  %f = tensor.empty() : tensor<16x4xf32>
  %g = linalg.fill ins(%zero : f32) outs(%f : tensor<16x4xf32>) -> tensor<16x4xf32>
  %y = linalg.matmul ins(%b, %v : tensor<16x16xf32>, tensor<16x4xf32>) outs(%g : tensor<16x4xf32>) -> tensor<16x4xf32>
  util.return %y : tensor<16x4xf32>
}

// -----

// Tests that an initial value with another reader is not overwritten: a third
// product reads it together with the second.

// CHECK-LABEL: @copied_initial_value
//  CHECK-SAME: serenity.predicted_peak_bytes = 2048 : i64
util.func public @copied_initial_value(%x: tensor<16x16xf32>) -> tensor<16x4xf32> {
  %zero = arith.constant 0.0 : f32
  %w = arith.constant dense<1.0> : tensor<16x16xf32>
  %e = tensor.empty() : tensor<16x16xf32>
  %init = linalg.fill ins(%zero : f32) outs(%e : tensor<16x16xf32>) -> tensor<16x16xf32>
  %a = linalg.matmul ins(%x, %w : tensor<16x16xf32>, tensor<16x16xf32>) outs(%init : tensor<16x16xf32>) -> tensor<16x16xf32>
  %b = linalg.matmul ins(%x, %w : tensor<16x16xf32>, tensor<16x16xf32>) outs(%a : tensor<16x16xf32>) -> tensor<16x16xf32>
  %c = linalg.matmul ins(%a, %w : tensor<16x16xf32>, tensor<16x16xf32>) outs(%b : tensor<16x16xf32>) -> tensor<16x16xf32>
  %v = arith.constant dense<1.0> : tensor<16x4xf32>
  %f = tensor.empty() : tensor<16x4xf32>
  %g = linalg.fill ins(%zero : f32) outs(%f : tensor<16x4xf32>) -> tensor<16x4xf32>
  %y = linalg.matmul ins(%c, %v : tensor<16x16xf32>, tensor<16x4xf32>) outs(%g : tensor<16x4xf32>) -> tensor<16x4xf32>
  util.return %y : tensor<16x4xf32>
}

// -----

#id = affine_map<(d0, d1) -> (d0, d1)>

// Tests that an elementwise operation is an epilogue of the product that it
// reads: %b is not stored, %a and %s exist together.

// CHECK-LABEL: @epilogue
//  CHECK-SAME: serenity.predicted_peak_bytes = 2048 : i64
util.func public @epilogue(%x: tensor<16x16xf32>) -> tensor<16x4xf32> {
  %zero = arith.constant 0.0 : f32
  %w = arith.constant dense<1.0> : tensor<16x16xf32>
  %e = tensor.empty() : tensor<16x16xf32>
  %init = linalg.fill ins(%zero : f32) outs(%e : tensor<16x16xf32>) -> tensor<16x16xf32>
  %a = linalg.matmul ins(%x, %w : tensor<16x16xf32>, tensor<16x16xf32>) outs(%init : tensor<16x16xf32>) -> tensor<16x16xf32>
  %k = util.optimization_barrier %a : tensor<16x16xf32>
  %b = linalg.matmul ins(%k, %w : tensor<16x16xf32>, tensor<16x16xf32>) outs(%init : tensor<16x16xf32>) -> tensor<16x16xf32>
  %s = linalg.generic {indexing_maps = [#id, #id, #id], iterator_types = ["parallel", "parallel"]} ins(%b, %k : tensor<16x16xf32>, tensor<16x16xf32>) outs(%e : tensor<16x16xf32>) {
  ^bb0(%p: f32, %q: f32, %out: f32):
    %n = arith.addf %p, %q : f32
    linalg.yield %n : f32
  } -> tensor<16x16xf32>
  %v = arith.constant dense<1.0> : tensor<16x4xf32>
  %f = tensor.empty() : tensor<16x4xf32>
  %g = linalg.fill ins(%zero : f32) outs(%f : tensor<16x4xf32>) -> tensor<16x4xf32>
  %y = linalg.matmul ins(%s, %v : tensor<16x16xf32>, tensor<16x4xf32>) outs(%g : tensor<16x4xf32>) -> tensor<16x4xf32>
  util.return %y : tensor<16x4xf32>
}

// -----

#id = affine_map<(d0, d1) -> (d0, d1)>

// Tests that the epilogue of an accumulation writes another tensor than the
// sum, which the last step reads: 1024 + 1024 bytes.

// CHECK-LABEL: @accumulation_epilogue
//  CHECK-SAME: serenity.predicted_peak_bytes = 2048 : i64
util.func public @accumulation_epilogue(%x: tensor<16x16xf32>) -> tensor<16x4xf32> {
  %zero = arith.constant 0.0 : f32
  %w = arith.constant dense<1.0> : tensor<16x16xf32>
  %e = tensor.empty() : tensor<16x16xf32>
  %init = linalg.fill ins(%zero : f32) outs(%e : tensor<16x16xf32>) -> tensor<16x16xf32>
  %a = linalg.matmul ins(%x, %w : tensor<16x16xf32>, tensor<16x16xf32>) outs(%init : tensor<16x16xf32>) -> tensor<16x16xf32>
  %b = linalg.matmul ins(%x, %w : tensor<16x16xf32>, tensor<16x16xf32>) outs(%a : tensor<16x16xf32>) -> tensor<16x16xf32>
  %r = linalg.generic {indexing_maps = [#id, #id], iterator_types = ["parallel", "parallel"]} ins(%b : tensor<16x16xf32>) outs(%e : tensor<16x16xf32>) {
  ^bb0(%p: f32, %out: f32):
    %n = arith.maximumf %p, %zero : f32
    linalg.yield %n : f32
  } -> tensor<16x16xf32>
  %v = arith.constant dense<1.0> : tensor<16x4xf32>
  %f = tensor.empty() : tensor<16x4xf32>
  %g = linalg.fill ins(%zero : f32) outs(%f : tensor<16x4xf32>) -> tensor<16x4xf32>
  %y = linalg.matmul ins(%r, %v : tensor<16x16xf32>, tensor<16x4xf32>) outs(%g : tensor<16x4xf32>) -> tensor<16x4xf32>
  util.return %y : tensor<16x4xf32>
}

// -----

#id = affine_map<(d0, d1) -> (d0, d1)>

// Tests that an elementwise operation whose one reader is elementwise, too, is
// computed along with it: %q has no buffer, and %a, which is read by both, no
// reader outside of its epilogue. %m alone is stored: 1,024 bytes.

// CHECK-LABEL: @merged_elementwise
//  CHECK-SAME: serenity.predicted_peak_bytes = 1024 : i64
util.func public @merged_elementwise(%x: tensor<16x16xf32>) -> tensor<16x4xf32> {
  %zero = arith.constant 0.0 : f32
  %w = arith.constant dense<1.0> : tensor<16x16xf32>
  %e = tensor.empty() : tensor<16x16xf32>
  %init = linalg.fill ins(%zero : f32) outs(%e : tensor<16x16xf32>) -> tensor<16x16xf32>
  %a = linalg.matmul ins(%x, %w : tensor<16x16xf32>, tensor<16x16xf32>) outs(%init : tensor<16x16xf32>) -> tensor<16x16xf32>
  %q = linalg.generic {indexing_maps = [#id, #id], iterator_types = ["parallel", "parallel"]} ins(%a : tensor<16x16xf32>) outs(%e : tensor<16x16xf32>) {
  ^bb0(%p: f32, %out: f32):
    %n = arith.maximumf %p, %zero : f32
    linalg.yield %n : f32
  } -> tensor<16x16xf32>
  %m = linalg.generic {indexing_maps = [#id, #id, #id], iterator_types = ["parallel", "parallel"]} ins(%a, %q : tensor<16x16xf32>, tensor<16x16xf32>) outs(%e : tensor<16x16xf32>) {
  ^bb0(%p: f32, %o: f32, %out: f32):
    %n = arith.mulf %p, %o : f32
    linalg.yield %n : f32
  } -> tensor<16x16xf32>
  %v = arith.constant dense<1.0> : tensor<16x4xf32>
  %f = tensor.empty() : tensor<16x4xf32>
  %g = linalg.fill ins(%zero : f32) outs(%f : tensor<16x4xf32>) -> tensor<16x4xf32>
  %y = linalg.matmul ins(%m, %v : tensor<16x16xf32>, tensor<16x4xf32>) outs(%g : tensor<16x4xf32>) -> tensor<16x4xf32>
  util.return %y : tensor<16x4xf32>
}

// -----

#id = affine_map<(d0, d1) -> (d0, d1)>

// Tests that one with another reader is not: %q, which %b reads, and %m are
// stored, and %b is made while both are there: 3 x 1,024 bytes.

// CHECK-LABEL: @elementwise_of_two_readers
//  CHECK-SAME: serenity.predicted_peak_bytes = 3072 : i64
util.func public @elementwise_of_two_readers(%x: tensor<16x16xf32>) -> tensor<16x4xf32> {
  %zero = arith.constant 0.0 : f32
  %w = arith.constant dense<1.0> : tensor<16x16xf32>
  %e = tensor.empty() : tensor<16x16xf32>
  %init = linalg.fill ins(%zero : f32) outs(%e : tensor<16x16xf32>) -> tensor<16x16xf32>
  %a = linalg.matmul ins(%x, %w : tensor<16x16xf32>, tensor<16x16xf32>) outs(%init : tensor<16x16xf32>) -> tensor<16x16xf32>
  %q = linalg.generic {indexing_maps = [#id, #id], iterator_types = ["parallel", "parallel"]} ins(%a : tensor<16x16xf32>) outs(%e : tensor<16x16xf32>) {
  ^bb0(%p: f32, %out: f32):
    %n = arith.maximumf %p, %zero : f32
    linalg.yield %n : f32
  } -> tensor<16x16xf32>
  %m = linalg.generic {indexing_maps = [#id, #id], iterator_types = ["parallel", "parallel"]} ins(%q : tensor<16x16xf32>) outs(%e : tensor<16x16xf32>) {
  ^bb0(%p: f32, %out: f32):
    %n = arith.mulf %p, %p : f32
    linalg.yield %n : f32
  } -> tensor<16x16xf32>
  %b = linalg.matmul ins(%q, %w : tensor<16x16xf32>, tensor<16x16xf32>) outs(%init : tensor<16x16xf32>) -> tensor<16x16xf32>
  %v = arith.constant dense<1.0> : tensor<16x4xf32>
  %f = tensor.empty() : tensor<16x4xf32>
  %g = linalg.fill ins(%zero : f32) outs(%f : tensor<16x4xf32>) -> tensor<16x4xf32>
  %z = linalg.matmul ins(%b, %v : tensor<16x16xf32>, tensor<16x4xf32>) outs(%g : tensor<16x4xf32>) -> tensor<16x4xf32>
  %kz = util.optimization_barrier %z : tensor<16x4xf32>
  %y = linalg.matmul ins(%m, %v : tensor<16x16xf32>, tensor<16x4xf32>) outs(%kz : tensor<16x4xf32>) -> tensor<16x4xf32>
  util.return %y : tensor<16x4xf32>
}
