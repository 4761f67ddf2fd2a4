# Part of serenity_mlir, under the Apache License v2.0 with LLVM Exceptions.
# See LICENSE for license information.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""From a model of PyTorch to a module with less peak memory, and what it allocates.

    pip install 'serenity-mlir[torch]'
    python examples/from_pytorch.py

torch.export traces the model, iree-turbine imports it; `serenity_mlir.compile` calls both.
"""

import numpy as np
import torch
from torch import nn

import serenity_mlir


class Branch(nn.Sequential):
    """A convolution with batch normalization."""

    def __init__(self, inputs: int, outputs: int, kernel: int, groups: int = 1) -> None:
        super().__init__(
            nn.Conv2d(inputs, outputs, kernel, padding=kernel // 2, groups=groups, bias=False),
            nn.BatchNorm2d(outputs),
            nn.ReLU(),
        )


class Cell(nn.Module):
    """Two branches and the input, concatenated; then a depthwise separable convolution."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.branches = nn.ModuleList([Branch(channels, 24, kernel) for kernel in (1, 3)])
        together = channels + 48
        self.depthwise = Branch(together, together, 3, groups=together)
        self.pointwise = nn.Conv2d(together, channels, 1)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        """Return an image of the same shape."""
        parts = [image, *(branch(image) for branch in self.branches)]
        return self.pointwise(self.depthwise(torch.cat(parts, 1)))


def main() -> None:
    """Compile the cell, run it, and compare memory and result."""
    torch.manual_seed(0)
    model = Cell(12).eval()
    image = torch.randn(1, 12, 24, 24)

    options = serenity_mlir.SerenityOptions(report="report.json")
    module = serenity_mlir.compile(model, [image], serenity=options, output_file="cell.vmfb")
    assert module is None  # It is in the file.

    function = serenity_mlir.load_report("report.json").function("main")
    measured = serenity_mlir.measure("cell.vmfb", [image.numpy()])
    print(f"IREE      {function.stock_transient_peak_bytes:>9,} bytes")
    print(f"serenity  {function.transient_peak_bytes:>9,} bytes")
    print(f"allocated {measured.transient_peak_bytes:>9,} bytes, beside inputs and results")

    with torch.no_grad():
        expected = model(image).numpy()
    np.testing.assert_allclose(measured.outputs[0], expected, rtol=1e-4, atol=1e-5)
    print("the result is PyTorch's")


if __name__ == "__main__":
    main()
