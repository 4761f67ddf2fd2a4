# Part of serenity_mlir, under the Apache License v2.0 with LLVM Exceptions.
# See LICENSE for license information.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Workers that read the memory of other systems, one module each.

They run in interpreters of their own (`protocol`). Their figures are described in
``docs/peers.md``; `serenity_mlir.benchmarking.peer_runs` starts them.
"""
