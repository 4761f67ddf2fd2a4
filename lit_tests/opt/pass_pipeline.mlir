// RUN: serenity-opt %s --pass-pipeline='builtin.module(canonicalize,serenity-pack{offsets=greedy time-limit=0.5},util.func(cse),serenity-schedule)' --mlir-print-ir-after-all -o %t 2>&1 | FileCheck %s
// RUN: serenity-opt %s --serenity-schedule --serenity-pack --mlir-print-ir-before-all -o %t 2>&1 | FileCheck %s --check-prefix=FLAGS
// RUN: serenity-opt %s --pass-pipeline='builtin.module(serenity-schedule,cse,serenity-pack)' --serenity-print-ir-after=cse,serenity-pack -o %t 2>&1 | FileCheck %s --check-prefix=NAMED
// RUN: serenity-opt %s --pass-pipeline=' builtin.module( serenity-pack { offsets=iree } , serenity-schedule{} ) ' | FileCheck %s --check-prefix=SPACES
// RUN: serenity-opt %s --pass-pipeline='builtin.module()' | FileCheck %s --check-prefix=SPACES

// Tests that passes of IREE and of serenity_mlir run in the order written.

// CHECK: IR Dump After Canonicalizer
// CHECK: IR Dump After serenity-pack
// CHECK-NOT: stream.resource.pack
// CHECK: IR Dump After CSE
// CHECK: IR Dump After serenity-schedule

// Tests that flags run in the order given, not in that of the table.

// FLAGS: IR Dump Before serenity-schedule
// FLAGS: stream.resource.pack
// FLAGS: IR Dump Before serenity-pack
// FLAGS: stream.resource.pack

// NAMED-NOT: IR Dump After serenity-schedule
// NAMED: // -----// IR Dump After cse (cse) //----- //
// NAMED: stream.resource.pack
// NAMED: // -----// IR Dump After serenity-pack (serenity-pack) //----- //
// NAMED-NOT: stream.resource.pack

// SPACES: stream.resource.pack

util.func public @f() -> index {
  %c64 = arith.constant 64 : index
  %pack:2 = stream.resource.pack slices({
    [0, 1] = %c64
  }) : index
  util.return %pack#0 : index
}
