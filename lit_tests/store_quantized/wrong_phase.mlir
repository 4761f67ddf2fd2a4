// RUN: serenity-opt %s > %t.before
// RUN: serenity-opt %s --serenity-store-quantized > %t.after
// RUN: diff %t.before %t.after
// RUN: FileCheck %s < %t.after

// Tests that a module without quantization passes through unchanged, with every
// release of IREE.

// CHECK: tensor.concat
util.func public @floats(%x: tensor<2xf32>, %y: tensor<2xf32>) -> tensor<4xf32> {
  %c = tensor.concat dim(0) %x, %y : (tensor<2xf32>, tensor<2xf32>) -> tensor<4xf32>
  util.return %c : tensor<4xf32>
}
