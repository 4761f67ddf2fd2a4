# Part of serenity_mlir, under the Apache License v2.0 with LLVM Exceptions.
# See LICENSE for license information.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""MiniMalloc's CSV format and `serenity pack`."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from serenity_mlir.core.offsets import Gap, OffsetsError, parse_csv, read_csv, verify, write_csv

pytestmark = pytest.mark.one_release

EXAMPLE = "id,lower,upper,size\nb1,0,3,4\nb2,3,9,4\nb3,0,9,4\nb4,9,21,4\nb5,0,21,4\n"


def serenity(*arguments: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "serenity_mlir", *arguments],
        input=stdin,
        capture_output=True,
        text=True,
        check=False,
    )


def test_columns() -> None:
    buffers = parse_csv(
        "size,id,end,start,offset,alignment,gaps\n4,a,2,0,,1,\n8,b,9,-3,16,8,-2--1 3-4@0:2 6-6\n\n"
    )
    assert buffers.ids == ("a", "b")
    # "end" is inclusive, also in gaps.
    assert list(buffers.lower) == [0, -3]
    assert list(buffers.upper) == [3, 10]
    assert list(buffers.size) == [4, 8]
    assert list(buffers.alignment) == [1, 8]
    assert list(buffers.fixed_offset) == [-1, 16]
    assert buffers.gaps == ((), (Gap(-2, 0), Gap(3, 5, 0, 2), Gap(6, 7)))
    assert list(
        parse_csv("buffer_id,begin,upper,size,offset\na,0,1,1,7\n", fixed=False).fixed_offset
    ) == [-1]


@pytest.mark.parametrize(
    ("text", "line", "message"),
    [
        ("", 1, "header line is missing"),
        ("a,0,3,4\n", 1, "unknown column 'a'.*header line"),
        ("id,lower,size\n", 1, "column 'upper' is missing"),
        ("id,lower,start,upper,size\n", 1, "column 'start' is given twice"),
        ("id,lower,upper,size\na,0,3\n", 2, "expected 4 fields as in the header, got 3"),
        ("id,lower,upper,size\na,0,3,4\nb,x,3,4\n", 3, "lower is not an integer: 'x'"),
        ("id,lower,upper,size\na,0,3.5,4\n", 2, "upper is not an integer: '3.5'"),
        ("id,lower,upper,size\na,0,3,1_0\n", 2, "size is not an integer: '1_0'"),
        ("id,lower,upper,size\na,0,,4\n", 2, "upper is empty"),
        ("id,lower,upper,size\na,0,3,99999999999999999999\n", 2, "size does not fit"),
        ("id,lower,upper,size\n\na,3,3,4\n", 3, "lifetime .3, 3. is reversed or empty"),
        ("id,lower,upper,size\na,4,3,4\n", 2, "lifetime .4, 3. is reversed or empty"),
        ("id,lower,upper,size\na,0,3,0\n", 2, "size 0 is not positive"),
        ("id,lower,upper,size\na,0,3,-1\n", 2, "size -1 is not positive"),
        ("id,lower,upper,size\na,0,3,1\na,0,3,1\n", 3, "id 'a' was used in line 2 already"),
        ("id,lower,upper,size,alignment\na,0,3,1,0\n", 2, "alignment 0 is not positive"),
        ("id,lower,upper,size,offset\na,0,3,1,-2\n", 2, "offset -2 is negative"),
        ("id,lower,upper,size,offset,alignment\na,0,3,1,2,4\n", 2, "offset 2 is not a multiple"),
        (
            "id,lower,upper,size,offset\na,0,3,4,0\nb,0,1,1,9\nc,2,3,4,3\n",
            4,
            "fixed offset 3 makes it overlap buffer 'a' of line 2 at time 2",
        ),
        ("id,lower,upper,size,gaps\na,0,3,4,1\n", 2, "gap is not of the form"),
        ("id,lower,upper,size,gaps\na,0,3,4,1-2@3\n", 2, "gap is not of the form"),
        ("id,lower,upper,size,gaps\na,0,3,4,2-1\n", 2, "gap is reversed"),
        ("id,lower,upper,size,gaps\na,0,3,4,1-2@2:5\n", 2, "window outside the buffer's 4 bytes"),
        ("id,lower,upper,size,gaps\na,0,3,4,1-9\n", 2, "leaves the lifetime"),
        ("id,lower,upper,size\na,0,3,4611686018427387904\n", 2, "too large"),
    ],
)
def test_malformed(tmp_path: Path, text: str, line: int, message: str) -> None:
    path = tmp_path / "bad.csv"
    path.write_text(text)
    with pytest.raises(OffsetsError, match=message) as caught:
        read_csv(path)
    assert caught.value.line == line
    assert str(caught.value).startswith(f"{path}:{line}: ")
    process = serenity("pack", str(path))
    assert process.returncode == 2
    assert f"{path}:{line}: " in process.stderr
    assert "Traceback" not in process.stderr


def test_round_trip(tmp_path: Path) -> None:
    text = "id,lower,upper,size,alignment,gaps,offset\na,0,5,4,1,1-2 3-4@1:2,\nb,2,9,8,8,,16\n"
    buffers = parse_csv(text)
    write_csv(tmp_path / "out.csv", buffers)
    assert (tmp_path / "out.csv").read_text() == text


def test_pack_command(tmp_path: Path) -> None:
    path, output = tmp_path / "in.csv", tmp_path / "out.csv"
    path.write_text(EXAMPLE)
    process = serenity("pack", str(path), "--json", "-o", str(output))
    assert process.returncode == 0, process.stderr
    answer = json.loads(process.stdout)
    # At time 0 b1, b3 and b5 are live, 4 bytes each.
    assert answer["height_bytes"] == answer["lower_bound_bytes"] == 12
    assert answer["optimal"] is True
    assert verify(read_csv(path), answer["offsets"], capacity=12) is None
    assert list(read_csv(output).fixed_offset) == answer["offsets"]
    # The written file is a valid instance with fixed offsets.
    assert (
        json.loads(serenity("pack", str(output), "--json").stdout)["offsets"] == answer["offsets"]
    )


def test_pack_command_alignment_and_stdin() -> None:
    process = serenity("pack", "-", "--json", "--alignment", "8", stdin=EXAMPLE)
    answer = json.loads(process.stdout)
    assert answer["height_bytes"] == 20
    assert all(offset % 8 == 0 for offset in answer["offsets"])


def test_pack_command_capacity() -> None:
    fits = serenity("pack", "-", "--capacity", "12", stdin=EXAMPLE)
    assert fits.returncode == 0, fits.stderr
    misses = serenity("pack", "-", "--capacity", "11", stdin=EXAMPLE)
    assert misses.returncode == 3
    assert "nothing found that fits into 11 bytes; it is proved" in misses.stderr
    answer = json.loads(serenity("pack", "-", "--capacity", "11", "--json", stdin=EXAMPLE).stdout)
    assert answer["infeasible"] is True


def test_pack_command_missing_file(tmp_path: Path) -> None:
    process = serenity("pack", str(tmp_path / "none.csv"))
    assert process.returncode == 2
    assert "none.csv" in process.stderr
    assert "Traceback" not in process.stderr
