# Part of serenity_mlir, under the Apache License v2.0 with LLVM Exceptions.
# See LICENSE for license information.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

import itertools

import pytest

from serenity_mlir import networks
from serenity_mlir.core import scheduling
from serenity_mlir.networks import graph_rewriting
from serenity_mlir.networks.graph_rewriting import graph_instance

pytestmark = pytest.mark.one_release

# Ahn et al., MLSys 2020, under the paper's model: network, rewriting, operations, bytes.
PAPER = [
    ("swiftnet_a", "none", 20, 200_704),
    ("swiftnet_a", "conv", 33, 188_160),
    ("swiftnet_a", "all", 37, 188_160),
    ("swiftnet_b", "none", 18, 81_536),
    ("swiftnet_b", "conv", 28, 56_448),
    ("swiftnet_b", "all", 30, 53_312),
    ("swiftnet_c", "none", 21, 32_536),
    ("swiftnet_c", "conv", 29, 19_404),
    ("swiftnet_c", "all", 31, 16_856),
]


@pytest.mark.parametrize(("name", "rewriting", "operations", "peak"), PAPER)
def test_paper_optima(name, rewriting, operations, peak):
    instance = graph_instance(name, rewriting=rewriting)
    assert len(instance["operations"]) == operations
    found = scheduling.schedule(instance)
    assert found.optimal
    assert found.peak_bytes == peak


@pytest.mark.parametrize(("rewriting", "tensors"), [("none", 6), ("conv", 5), ("all", 5)])
def test_darts_cell_in_float32(rewriting, tensors):
    # From the results of the two preprocessing convolutions on, every tensor of the cell is
    # 48 x 28 x 28 float32 = 150,528 bytes.
    instance = graph_instance(
        "darts_normal", rewriting=rewriting, element_bytes=4, inputs=("t1", "t3")
    )
    assert {buffer["bytes"] for buffer in instance["buffers"]} == {150_528}
    found = scheduling.schedule(instance)
    assert found.optimal
    assert found.peak_bytes == tensors * 150_528


def test_randomly_wired_networks_have_nothing_to_partition():
    for name in networks.names("paper"):
        if name.startswith("randwire"):
            plain = graph_instance(name, rewriting="none")
            assert graph_instance(name, rewriting="all") == plain


def _network(inputs, ops, outputs):
    return {"inputs": inputs, "outputs": outputs, "ops": ops}


def _conv(operand, output, channels, groups=1, kernel=1):
    return {
        "kind": "conv",
        "inputs": [operand],
        "output": output,
        "channels": channels,
        "kernel": kernel,
        "stride": 1,
        "dilation": 1,
        "pad": kernel // 2,
        "groups": groups,
    }


def _concat(operands, output):
    return {"kind": "concat", "inputs": operands, "output": output}


def _relu(operand, output):
    return {"kind": "relu", "inputs": [operand], "output": output}


def _brute_force(instance):
    """The least peak over all orders, without any code of the package."""
    sizes = {b["name"]: b["bytes"] for b in instance["buffers"]}
    live_in = {b["name"] for b in instance["buffers"] if b.get("live_in")}
    ops = {op["name"]: op for op in instance["operations"]}
    best = None
    for order in itertools.permutations(ops):
        step = {name: i for i, name in enumerate(order)}
        if any(step[a] > step[name] for name in order for a in ops[name]["after"]):
            continue
        last = {b: max(step[n] for n in order if b in ops[n]["uses"]) for b in sizes}
        first = {
            b: 0 if b in live_in else min(step[n] for n in order if b in ops[n]["uses"])
            for b in sizes
        }
        peak = max(
            sum(size for b, size in sizes.items() if first[b] <= i <= last[b])
            for i in range(len(order))
        )
        best = peak if best is None else min(best, peak)
    return best


def test_partial_convolutions_accumulate_in_any_order():
    # 2 + 6 + 4 channels of 4 elements each; the result has 3 channels.
    net = _network(
        {"x": (1, 1, 2, 2)},
        [
            _conv("x", "a", 2),
            _conv("x", "b", 6),
            _conv("x", "c", 4),
            _concat(["a", "b"], "ab"),
            _concat(["ab", "c"], "abc"),
            _relu("abc", "r"),
            _conv("r", "y", 3),
        ],
        ["y"],
    )
    plain = graph_instance(net, rewriting="none")
    assert [op["uses"] for op in plain["operations"]][-1] == ["a", "b", "c", "y"]
    # All of a, b, c and y at the end: (2 + 6 + 4 + 3) * 4.
    assert _brute_force(plain) == scheduling.schedule(plain).peak_bytes == 60
    split = graph_instance(net, rewriting="conv")
    partial = [op for op in split["operations"] if op["name"].startswith("y.")]
    assert [op["uses"] for op in partial] == [["a", "y"], ["b", "y"], ["c", "y"]]
    assert [op["after"] for op in partial] == [["a"], ["b"], ["c"]]
    # x, b and y: (1 + 6 + 3) * 4; b is the widest, and x still needed unless b comes last.
    assert _brute_force(split) == scheduling.schedule(split).peak_bytes == 40


def test_kernel_wise_result_feeds_the_next_convolution():
    net = _network(
        {"x": (1, 4, 2, 2)},
        [
            _conv("x", "a", 4),
            _conv("x", "b", 4),
            _concat(["a", "b"], "ab"),
            _conv("ab", "d", 8, groups=8, kernel=3),
            _relu("d", "r"),
            _conv("r", "y", 2),
        ],
        ["y"],
    )
    whole = graph_instance(net, rewriting="conv")
    assert [op["name"] for op in whole["operations"]] == ["a", "b", "d", "y"]
    split = graph_instance(net)
    assert [op["name"] for op in split["operations"]] == ["a", "b", "d.0", "d.1", "y.0", "y.1"]
    by_name = {b["name"]: b["bytes"] for b in split["buffers"]}
    assert by_name["d.0"] == by_name["d.1"] == 4 * 2 * 2
    assert _brute_force(split) == scheduling.schedule(split).peak_bytes
    assert _brute_force(split) < _brute_force(whole)


def test_groups_are_cut_between_groups_only():
    def net(first, second):
        return _network(
            {"x": (1, 2, 2, 2)},
            [
                _conv("x", "a", first),
                _conv("x", "b", second),
                _concat(["a", "b"], "ab"),
                _conv("ab", "g", 6, groups=3),
            ],
            ["g"],
        )

    # Three groups of four channels: 4 + 8 respects them, 6 + 6 does not.
    respected = graph_instance(net(4, 8))
    sizes = {b["name"]: b["bytes"] for b in respected["buffers"]}
    assert (sizes["g.0"], sizes["g.1"]) == (2 * 4, 4 * 4)
    crossed = graph_instance(net(6, 6))
    assert [op["name"] for op in crossed["operations"]] == ["a", "b", "g"]


def test_a_view_keeps_its_parts_alive_for_other_readers():
    net = _network(
        {"x": (1, 1, 2, 2)},
        [
            _conv("x", "a", 1),
            _conv("x", "b", 1),
            _concat(["a", "b"], "ab"),
            _conv("ab", "y", 1),
            {
                "kind": "maxpool",
                "inputs": ["ab"],
                "output": "m",
                "kernel": 1,
                "stride": 1,
                "pad": 0,
            },
        ],
        ["y", "m"],
    )
    uses = {op["name"]: op["uses"] for op in graph_instance(net)["operations"]}
    assert uses["m"] == ["a", "b", "m"]
    assert uses["y.0"] == ["a", "y"]


def test_errors_name_the_cause():
    with pytest.raises(ValueError, match="no network 'swiftnet_d'"):
        graph_instance("swiftnet_d")
    with pytest.raises(ValueError, match="unknown rewriting 'some'; known are: none, conv, all"):
        graph_instance("swiftnet_a", rewriting="some")
    with pytest.raises(ValueError, match="no operation computes 't999'"):
        graph_instance("darts_normal", inputs=("t999",))
    with pytest.raises(ValueError, match="element_bytes must be at least 1, not 0"):
        graph_instance("swiftnet_a", element_bytes=0)


def test_instances_are_deterministic_and_well_formed():
    for name in networks.names("paper"):
        for rewriting in graph_rewriting._REWRITINGS:
            instance = graph_instance(name, rewriting=rewriting)
            assert instance == graph_instance(name, rewriting=rewriting)
            scheduling.Problem.from_dict(instance)
