// RUN: serenity-opt %s --pass-pipeline='builtin.module(serenity-pack,cse)' | FileCheck %s --check-prefixes=CHECK,EXACT
// RUN: serenity-opt %s --pass-pipeline='builtin.module(serenity-pack{offsets=exact},cse)' | FileCheck %s --check-prefixes=CHECK,EXACT
// RUN: serenity-opt %s --pass-pipeline='builtin.module(serenity-pack{offsets=greedy},cse)' | FileCheck %s --check-prefixes=CHECK,EXACT
// RUN: serenity-opt %s --pass-pipeline='builtin.module(serenity-pack{offsets=iree},util.func(iree-stream-layout-slices),cse)' | FileCheck %s --check-prefixes=CHECK,IREE
// RUN: serenity-opt %s --pass-pipeline='builtin.module(util.func(iree-stream-layout-slices),cse)' | FileCheck %s --check-prefixes=CHECK,IREE
// RUN: serenity-opt %s --serenity-pack --serenity-offsets=iree | FileCheck %s --check-prefix=LEFT

// Tests that the answer depends on the algorithm only where it must. IREE fills
// the first fitting gap in program order: the first slice at 0, the second at
// 64, and the third fits nowhere below, so it lies at 128: 128 + 128 = 256.
// Live bytes never exceed 64 + 128 = 192, which the other order reaches: the
// second slice at 0, the first and third at 64.
// `offsets=iree` leaves the layout to IREE's own pass.

// CHECK-LABEL: @greedy_in_program_order_loses
//       EXACT: %[[TOTAL:.+]] = arith.constant 192 : index
//        IREE: %[[TOTAL:.+]] = arith.constant 256 : index
//        LEFT: %[[TOTAL:.+]]:4 = stream.resource.pack slices({
//       CHECK: util.return %[[TOTAL]]
util.func public @greedy_in_program_order_loses() -> index {
  %c64 = arith.constant 64 : index
  %c128 = arith.constant 128 : index
  %pack:4 = stream.resource.pack slices({
    [0, 0] = %c64,
    [0, 2] = %c64,
    [1, 2] = %c128
  }) : index
  util.return %pack#0 : index
}
