// RUN: not serenity-opt %s --pass-pipeline='cse' 2>&1 | FileCheck %s --check-prefix=ANCHOR
// RUN: not serenity-opt %s --pass-pipeline='func.func(cse)' 2>&1 | FileCheck %s --check-prefix=ANCHOR
// RUN: not serenity-opt %s --pass-pipeline='builtin.module(util.func(cse,serenity-pack))' 2>&1 | FileCheck %s --check-prefix=NESTED
// RUN: not serenity-opt %s --pass-pipeline='builtin.module(builtin.module(serenity-pack{offsets=exact}))' 2>&1 | FileCheck %s --check-prefix=NESTED
// RUN: not serenity-opt %s --pass-pipeline='builtin.module(serenity-pack{order=1})' 2>&1 | FileCheck %s --check-prefix=OPTION
// RUN: not serenity-opt %s --pass-pipeline='builtin.module(serenity-pack{offsets})' 2>&1 | FileCheck %s --check-prefix=NOVALUE
// RUN: not serenity-opt %s --pass-pipeline='builtin.module(serenity-pack(cse))' 2>&1 | FileCheck %s --check-prefix=AFTER
// RUN: not serenity-opt %s --pass-pipeline='builtin.module(cse,,cse)' 2>&1 | FileCheck %s --check-prefix=EMPTY
// RUN: not serenity-opt %s --pass-pipeline='builtin.module(canonicalize{max-iterations=1)' 2>&1 | FileCheck %s --check-prefix=BRACE
// RUN: not serenity-opt %s --pass-pipeline='builtin.module(cse))' 2>&1 | FileCheck %s --check-prefix=PAREN
// RUN: not serenity-opt %s --pass-pipeline='builtin.module(no-such-pass)' 2>&1 | FileCheck %s --check-prefix=UNKNOWN
// RUN: not serenity-opt %s --serenity-pack --pass-pipeline='builtin.module(cse)' 2>&1 | FileCheck %s --check-prefix=BOTH
// RUN: not serenity-opt %s --serenity-pakc 2>&1 | FileCheck %s --check-prefix=FLAG
// RUN: not serenity-opt %s --no-such-flag 2>&1 | FileCheck %s --check-prefix=FORWARDED
// RUN: not serenity-opt %s --serenity-offsets=best 2>&1 | FileCheck %s --check-prefix=CHOICE
// RUN: not serenity-opt %s --serenity-time-limit=soon 2>&1 | FileCheck %s --check-prefix=SECONDS
// RUN: not serenity-opt %s --serenity-state-limit 2>&1 | FileCheck %s --check-prefix=MISSING
// RUN: not serenity-opt %s --serenity-pack --serenity-print-ir-after=cse 2>&1 | FileCheck %s --check-prefix=PRINT
// RUN: not serenity-opt %s --serenity-pack --mlir-print-ir-after=serenity-pack 2>&1 | FileCheck %s --check-prefix=BYNAME
// RUN: not serenity-opt %s --emit-bytecode --split-input-file 2>&1 | FileCheck %s --check-prefix=BYTECODE
// RUN: not serenity-opt %s %s 2>&1 | FileCheck %s --check-prefix=INPUTS

// Tests that wrong usage is an error that names what is known.

// ANCHOR: serenity-opt: expected a pipeline on modules: --pass-pipeline='builtin.module(...)', found
// NESTED: serenity-opt: 'serenity-pack' runs on builtin.module; move it to the top level of builtin.module(...)
// OPTION: serenity-opt: serenity-pack: unknown option 'order'; known are offsets, time-limit, state-limit
// NOVALUE: serenity-opt: serenity-pack: option 'offsets' needs a value: offsets=...
// AFTER: serenity-opt: expected ',' or '{' after 'serenity-pack' in the pipeline, found '(cse)'
// EMPTY: serenity-opt: empty element in pipeline
// BRACE: serenity-opt: missing '}' in pipeline
// PAREN: serenity-opt: unbalanced ')' in pipeline
// UNKNOWN: 'no-such-pass' does not refer to a registered pass or pass pipeline
// BOTH: serenity-opt: --pass-pipeline and --serenity-pack exclude each other
// FLAG: serenity-opt: unknown flag '--serenity-pakc'; known are {{.*}}--serenity-rewrite, {{.*}}--serenity-pack,
// FORWARDED: serenity-opt: Unknown command line argument '--no-such-flag'
// FORWARDED: serenity-opt: --help lists the flags of serenity-opt, --help-hidden those passed on to IREE
// CHOICE: serenity-opt: --serenity-offsets: invalid value 'best' of offsets; expected exact, greedy or iree
// SECONDS: serenity-opt: --serenity-time-limit: invalid value 'soon' of time-limit; expected seconds, such as 0.5
// MISSING: serenity-opt: --serenity-state-limit needs a value: --serenity-state-limit=N
// PRINT: serenity-opt: --serenity-print-ir-after: no 'cse' in the pipeline; it has serenity-pack
// BYNAME: use --serenity-print-ir-after=PASS
// BYTECODE: serenity-opt: --emit-bytecode and --split-input-file exclude each other
// INPUTS: serenity-opt: more than one input
module {
}
