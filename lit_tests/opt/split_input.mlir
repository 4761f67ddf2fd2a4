// RUN: serenity-opt %s --split-input-file --mlir-print-debuginfo | FileCheck %s
// RUN: serenity-opt %s --split-input-file | serenity-opt --split-input-file | FileCheck %s --check-prefix=AGAIN
// RUN: serenity-opt %s | FileCheck %s --check-prefix=WHOLE

// Tests that the parts are modules of their own, printed in order with the
// marker between them, and that their locations are those of the file. Only a
// line that is the marker and nothing else splits.

// CHECK-COUNT-1: module {
// CHECK: @first
// CHECK-NEXT: return loc(
// CHECK: // -----
// CHECK: module {
// CHECK: @second
// CHECK: loc("{{.*}}split_input.mlir":32:1)
// CHECK: // -----
// CHECK-NEXT: module {
// CHECK-NEXT: }

// AGAIN: @first
// AGAIN: // -----
// AGAIN: @second
// AGAIN: // -----

// WHOLE: module {
// WHOLE: @first
// WHOLE-NOT: // -----
// WHOLE: @second

func.func @first() { return }
// -----
func.func @second() { return }
// -----// IR Dump of something else //----- //
// A comment // -----
// -----
