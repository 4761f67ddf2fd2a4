// RUN: serenity-opt %s --serenity-waves | FileCheck %s

// Tests that IR without slabs stays as it is.

// CHECK-LABEL: @none
//  CHECK-NEXT: util.return %{{.+}} : tensor<4xf32>
util.func public @none(%x: tensor<4xf32>) -> tensor<4xf32> {
  util.return %x : tensor<4xf32>
}
