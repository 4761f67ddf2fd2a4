// REQUIRES: iree-compile
// RUN: iree-compile %s --iree-hal-target-device=local --iree-hal-local-target-device-backends=llvm-cpu --compile-to=flow -o %t.flow.mlir
// RUN: serenity-opt %t.flow.mlir --iree-stream-partitioning-favor=debug --serenity-report=%t.json --pass-pipeline='builtin.module(serenity-schedule,iree-util-verify-initialization-order,iree-stream-tensor-transformation-pipeline,iree-stream-async-transformation-pipeline,serenity-schedule-regions,iree-stream-schedule-allocation,serenity-pack,cse)' | FileCheck %s
// RUN: FileCheck %s --check-prefix=REPORT < %t.json
// RUN: serenity-opt %t.flow.mlir --pass-pipeline='builtin.module(iree-util-verify-initialization-order,iree-stream-tensor-transformation-pipeline,iree-stream-async-transformation-pipeline,iree-stream-schedule-allocation,util.func(iree-stream-layout-slices),cse)' | FileCheck %s --check-prefix=STOCK

// Tests all passes between those of IREE, from linalg to the slab. Each branch
// has a tensor of 64 x 256 x f32 = 65,536 bytes and makes 64 x 64 x f32 =
// 16,384 of it; the last product and the sum are one dispatch, whose result is
// external. Both large tensors at once: 2 * 65,536 + 16,384 = 147,456 bytes.
// One branch after the other: 65,536 + 16,384 = 81,920.

// CHECK-LABEL: util.func public @branches
//       CHECK: %[[SLAB:.+]] = arith.constant 81920 : index
//       CHECK: stream.resource.alloca uninitialized {{.*}}: !stream.resource<transient>{%[[SLAB]]}

// STOCK-LABEL: util.func public @branches
//       STOCK: %[[SLAB:.+]] = arith.constant 147456 : index
//       STOCK: stream.resource.alloca uninitialized {{.*}}: !stream.resource<transient>{%[[SLAB]]}

// REPORT: "predicted_bytes": 81920
// REPORT-NEXT: "slab_bytes": 81920
// REPORT-NEXT: "lower_bound_bytes": 81920
// REPORT-NEXT: "optimal": true
func.func @branches(%x: tensor<64x64xf32>, %w: tensor<64x256xf32>, %v: tensor<256x64xf32>, %u: tensor<64x256xf32>) -> tensor<64x64xf32> {
  %zero = arith.constant 0.0 : f32
  %e0 = tensor.empty() : tensor<64x256xf32>
  %i0 = linalg.fill ins(%zero : f32) outs(%e0 : tensor<64x256xf32>) -> tensor<64x256xf32>
  %e1 = tensor.empty() : tensor<64x64xf32>
  %i1 = linalg.fill ins(%zero : f32) outs(%e1 : tensor<64x64xf32>) -> tensor<64x64xf32>
  %a0 = linalg.matmul ins(%x, %w : tensor<64x64xf32>, tensor<64x256xf32>) outs(%i0 : tensor<64x256xf32>) -> tensor<64x256xf32>
  %b0 = linalg.matmul ins(%x, %u : tensor<64x64xf32>, tensor<64x256xf32>) outs(%i0 : tensor<64x256xf32>) -> tensor<64x256xf32>
  %a1 = linalg.matmul ins(%a0, %v : tensor<64x256xf32>, tensor<256x64xf32>) outs(%i1 : tensor<64x64xf32>) -> tensor<64x64xf32>
  %b1 = linalg.matmul ins(%b0, %v : tensor<64x256xf32>, tensor<256x64xf32>) outs(%i1 : tensor<64x64xf32>) -> tensor<64x64xf32>
  %r = arith.addf %a1, %b1 : tensor<64x64xf32>
  return %r : tensor<64x64xf32>
}
