# Part of serenity_mlir, under the Apache License v2.0 with LLVM Exceptions.
# See LICENSE for license information.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""From a function of JAX to a module with less peak memory, and what it allocates.

    pip install 'serenity-mlir[jax]'
    python examples/from_jax.py

jax.export makes StableHLO of the function; `serenity_mlir.compile` calls it. The weights are closed
over, so that the compiler sees them: weights that are arguments cannot be split.
"""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np

import serenity_mlir

SHAPE = (1, 24, 24, 12)


def make_weights(seed: int) -> dict[str, jax.Array]:
    """Draw the weights of `cell`, HWIO."""
    shapes = {"a": (3, 3, 12, 24), "b": (1, 1, 12, 24), "c": (3, 3, 1, 60), "d": (1, 1, 60, 12)}
    keys = jax.random.split(jax.random.key(seed), len(shapes))
    return {
        name: jax.random.normal(key, shape) * (2 / np.prod(shape[:3])) ** 0.5
        for key, (name, shape) in zip(keys, shapes.items(), strict=True)
    }


def convolution(image: jax.Array, weight: jax.Array, groups: int = 1) -> jax.Array:
    """Convolve without changing height and width."""
    layout = ("NHWC", "HWIO", "NHWC")
    return jax.lax.conv_general_dilated(
        image, weight, (1, 1), "SAME", dimension_numbers=layout, feature_group_count=groups
    )


def cell(weights: dict[str, jax.Array], image: jax.Array) -> jax.Array:
    """Concatenate two branches and the input; then a depthwise separable convolution."""
    first = jax.nn.relu(convolution(image, weights["a"]))
    second = jax.nn.relu(convolution(image, weights["b"]))
    together = jnp.concatenate([image, first, second], axis=-1)
    filtered = jax.nn.relu(convolution(together, weights["c"], groups=60))
    return convolution(filtered, weights["d"])


def main() -> None:
    """Compile the cell, run it, and compare memory and result."""
    model = partial(cell, make_weights(0))

    options = serenity_mlir.SerenityOptions(report="report.json")
    module = serenity_mlir.compile(model, [SHAPE], serenity=options, output_file="cell.vmfb")
    assert module is None  # It is in the file.

    image = np.random.default_rng(0).standard_normal(SHAPE, dtype=np.float32)
    function = serenity_mlir.load_report("report.json").function("main")
    measured = serenity_mlir.measure("cell.vmfb", [image])
    print(f"IREE      {function.stock_transient_peak_bytes:>9,} bytes")
    print(f"serenity  {function.transient_peak_bytes:>9,} bytes")
    print(f"allocated {measured.transient_peak_bytes:>9,} bytes, beside inputs and results")

    np.testing.assert_allclose(measured.outputs[0], model(image), rtol=1e-4, atol=1e-5)
    print("the result is JAX's")


if __name__ == "__main__":
    main()
