// RUN: not serenity-opt %S/Inputs/wrong_expectations.mlir --split-input-file --verify-diagnostics 2>&1 | FileCheck %s
// RUN: not serenity-opt %S/Inputs/wrong_expectations.mlir --split-input-file --verify-diagnostics=only-expected 2>&1 | FileCheck %s --check-prefix=ONLY

// Tests that every way in which expectations can fail is reported at its line
// of the file, chunk or not.

// CHECK: wrong_expectations.mlir:1:4: error: expected error "this does not come" was not produced
// CHECK-NEXT: // expected-error @below {{.*}}this does not come
// CHECK: wrong_expectations.mlir:9:10: error: unexpected error: use of undeclared SSA value name
// CHECK-NEXT: return %a : i32
// CHECK-NEXT: ^
// CHECK: wrong_expectations.mlir:15:6: error: 'error' diagnostic emitted when expecting a 'warning'
// CHECK: wrong_expectations.mlir:15:6: error: expected warning "undeclared" was not produced
// CHECK: wrong_expectations.mlir:21:4: error: '@sideways' is not a place; expected @+N, @-N, @above, @below or @unknown
// CHECK: wrong_expectations.mlir:22:4: error: regular expression without its closing '{{[}][}]}}'
// CHECK: wrong_expectations.mlir:23:4: error: invalid regular expression

// Tests that only-expected says nothing of diagnostics that are not expected.

// ONLY: wrong_expectations.mlir:1:4: error: expected error "this does not come" was not produced
// ONLY-NOT: unexpected
// ONLY: wrong_expectations.mlir:15:6: error: expected warning "undeclared" was not produced
