# Part of serenity_mlir, under the Apache License v2.0 with LLVM Exceptions.
# See LICENSE for license information.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Which networks there are, of which family, and in which set.

The sets:

* ``paper``: the networks of the SERENITY paper's evaluation, on which the project was developed;
* ``more``: networks of other families that may be looked at while the compiler is worked on;
* ``held-out``: networks that are not looked at. They were chosen, by family and before the compiler
  had been run on any of them, to test that findings on the others hold elsewhere. Moving one out
  of this set because of its figures would defeat it;
* ``microcontroller``: networks that run on microcontrollers, mostly quantized.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, get_args

from serenity_mlir.networks import (
    densenet,
    hrnet,
    inception,
    microcontroller,
    mobile,
    paper,
    pyramids,
    randwire,
    searched_cells,
    transformer,
    unet,
    yolo,
)
from serenity_mlir.networks.graph import Graph

__all__ = ["SETS", "Entry", "Set", "entries"]

Set = Literal["paper", "more", "held-out", "microcontroller"]

SETS: tuple[Set, ...] = get_args(Set)


@dataclass(frozen=True)
class Entry:
    """A network of the registry.

    Attributes:
      name: unique.
      family: the architecture it is of.
      set: the purposes it may be used for.
      make: builds it, without weights.
    """

    name: str
    family: str
    set: Set
    make: Callable[[], Graph]


def _randwire(kind: str, nodes: int, seed: int) -> Callable[[], Graph]:
    return functools.partial(randwire.randwire, kind, nodes, seed)


def _mobilenet_v1(percent: int, resolution: int, classes: int) -> Callable[[], Graph]:
    name = f"mobilenet_v1_{percent:03d}_{resolution}"
    return functools.partial(microcontroller.mobilenet_v1, name, percent / 100, resolution, classes)


def _mobilenet_v2(percent: int, resolution: int) -> Callable[[], Graph]:
    name = f"mobilenet_v2_{percent:03d}_{resolution}"
    return functools.partial(microcontroller.mobilenet_v2, name, percent / 100, resolution)


def _mcunet(percent: int, resolution: int, seed: int) -> Callable[[], Graph]:
    name = f"mcunet_{percent:03d}_{resolution}"
    return functools.partial(microcontroller.mcunet, name, percent / 100, resolution, seed)


_OTHERS = (
    Entry("densenet121_block2", "DenseNet", "more", densenet.densenet121_block2),
    Entry("inception_v3_a", "Inception", "more", inception.inception_v3_a),
    Entry("inception_v3_e", "Inception", "held-out", inception.inception_v3_e),
    Entry("googlenet", "Inception", "held-out", inception.googlenet),
    Entry("unet_16", "U-Net", "more", unet.unet_16),
    Entry("fpn_resnet18_16", "FPN", "more", pyramids.fpn_resnet18_16),
    Entry("bifpn_d0", "FPN", "held-out", pyramids.bifpn_d0),
    Entry("retinanet_head", "detection head", "more", pyramids.retinanet_head),
    Entry("nasnet_a_cells", "NASNet", "more", searched_cells.nasnet_a_cells),
    Entry("nasnet_a_reduction", "NASNet", "held-out", searched_cells.nasnet_a_reduction),
    Entry("pnasnet5_cells", "PNASNet", "more", searched_cells.pnasnet5_cells),
    Entry("amoebanet_a_cells", "AmoebaNet", "held-out", searched_cells.amoebanet_a_cells),
    Entry("mobilenet_v3_small", "MobileNet", "more", mobile.mobilenet_v3_small),
    Entry("efficientnet_b0", "EfficientNet", "held-out", mobile.efficientnet_b0),
    Entry("hrnet_w18_stage3", "HRNet", "held-out", hrnet.hrnet_w18_stage3),
    Entry("bert_mini_encoder", "transformer", "held-out", transformer.bert_mini_encoder),
    Entry("randwire_ws_16", "RandWire", "more", _randwire("ws", 16, 7)),
    Entry("randwire_er_32", "RandWire", "more", _randwire("er", 32, 11)),
    Entry("randwire_ba_32", "RandWire", "held-out", _randwire("ba", 32, 13)),
    Entry("randwire_ws_48", "RandWire", "held-out", _randwire("ws", 48, 17)),
    Entry("yolov3_tiny_25", "YOLO", "more", yolo.yolov3_tiny_25),
    Entry("vit_tiny_blocks", "transformer", "held-out", transformer.vit_tiny_blocks),
    Entry("gpt2_step", "transformer", "held-out", transformer.gpt2_step),
    Entry("ds_cnn", "DS-CNN", "microcontroller", microcontroller.ds_cnn),
    Entry("resnet8", "ResNet", "microcontroller", microcontroller.resnet8),
    Entry("mobilenet_v1_025_96", "MobileNet", "microcontroller", _mobilenet_v1(25, 96, 2)),
    Entry("mobilenet_v2_035_144", "MobileNet", "microcontroller", _mobilenet_v2(35, 144)),
    Entry("mobilenet_v2_100_224", "MobileNet", "microcontroller", _mobilenet_v2(100, 224)),
    Entry("autoencoder", "autoencoder", "microcontroller", microcontroller.autoencoder),
    Entry("mcunet_050_160", "MCUNet", "microcontroller", _mcunet(50, 160, 23)),
)


def _paper_family(name: str) -> str:
    prefixes = {"swiftnet": "SwiftNet", "darts": "DARTS", "randwire": "RandWire"}
    return next(family for prefix, family in prefixes.items() if name.startswith(prefix))


@functools.cache
def entries() -> dict[str, Entry]:
    """Returns all networks by name: those of the paper first, the others by family."""
    of_paper = [
        Entry(name, _paper_family(name), "paper", functools.partial(paper.build, name))
        for name in paper.names()
    ]
    return {entry.name: entry for entry in (*of_paper, *_OTHERS)}
