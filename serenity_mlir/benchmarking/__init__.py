# Part of serenity_mlir, under the Apache License v2.0 with LLVM Exceptions.
# See LICENSE for license information.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""``serenity bench``: every figure that the documentation states, measured again.

`work` measures one network, `peer_runs` asks other systems about it, `session` does so for many
and can be resumed, `results` puts the records together, `tables`, `pictures` and `report` write
them down.
"""
