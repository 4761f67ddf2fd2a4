# Part of serenity_mlir, under the Apache License v2.0 with LLVM Exceptions.
# See LICENSE for license information.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Work over many models: parallel, resumable, and whatever happens to one does not stop others."""

from __future__ import annotations

import fcntl
import functools
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from serenity_mlir.errors import SerenityError
from serenity_mlir.running import Record, find_models, run_many

pytestmark = pytest.mark.one_release


def length(path: str, factor: int = 1) -> dict[str, int]:
    """Work for the tests: the prefix of the file's name decides the outcome."""
    name = Path(path).name
    if name.startswith("killed"):
        os.kill(os.getpid(), signal.SIGKILL)
    if name.startswith("failing"):
        raise SerenityError("the model is too beautiful", exit_code=3)
    if name.startswith("defect"):
        raise ZeroDivisionError("nobody expects")
    if name.startswith("object"):
        return {"bytes": object()}  # type: ignore[dict-item]
    if name.startswith("slow"):
        Path(path).with_suffix(".started").touch()
        time.sleep(60)
    return {"bytes": factor * len(Path(path).read_bytes()), "process": os.getpid()}


@pytest.fixture
def models(tmp_path: Path) -> list[str]:
    paths = [tmp_path / f"{name}.mlir" for name in ("one", "failing", "three", "defect", "five")]
    for count, path in enumerate(paths):
        path.write_text("x" * count)
    return [str(path) for path in paths]


def by_name(records) -> dict[str, Record]:
    return {Path(record.model).stem: record for record in records}


def test_every_model_gets_a_record_in_processes_of_their_own(models):
    found = by_name(run_many(length, models, jobs=2))
    assert {name: record.result and record.result["bytes"] for name, record in found.items()} == {
        "one": 0,
        "failing": None,
        "three": 2,
        "defect": None,
        "five": 4,
    }
    processes = {record.result["process"] for record in found.values() if record.result}
    assert os.getpid() not in processes
    assert (found["failing"].error, found["failing"].exit_code) == ("the model is too beautiful", 3)
    # A defect is reported with the place where it is.
    assert found["defect"].exit_code == 1
    assert "test_running.py" in found["defect"].error
    assert found["defect"].error.endswith("ZeroDivisionError: nobody expects")


def test_a_worker_that_dies_takes_no_other_model_with_it(models, tmp_path):
    for name in ("killed_a", "killed_b"):
        (tmp_path / f"{name}.mlir").touch()
        models.insert(1, str(tmp_path / f"{name}.mlir"))
    found = by_name(run_many(length, models, jobs=2))
    assert len(found) == len(models)
    assert {name for name, record in found.items() if record.result} == {"one", "three", "five"}
    for name in ("killed_a", "killed_b"):
        assert "killed or crashed" in found[name].error


def test_a_result_that_no_file_can_hold_is_a_failure_of_its_model_alone(models, tmp_path):
    (tmp_path / "object.mlir").touch()
    found = by_name(run_many(length, [str(tmp_path / "object.mlir"), models[0]], jobs=1))
    assert "not JSON serializable" in found["object"].error
    assert found["one"].result


def test_a_second_run_does_what_is_missing(models, tmp_path):
    file = tmp_path / "results.jsonl"
    assert len(list(run_many(length, models[:3], results=file, jobs=1))) == 3
    lines = [json.loads(line) for line in file.read_text().splitlines()]
    assert [Path(line["model"]).stem for line in lines] == ["one", "failing", "three"]
    assert [line["exit_code"] for line in lines] == [0, 3, 0]

    again = by_name(run_many(length, models, results=file, jobs=1))
    # Failures may have had a reason outside the model.
    assert [name for name, record in again.items() if record.resumed] == ["one", "three"]
    assert again["one"].result == lines[0]["result"]
    assert len(file.read_text().splitlines()) == 3 + 3


def test_a_changed_model_or_setting_is_done_again(models, tmp_path):
    file = tmp_path / "results.jsonl"
    two = [models[0], models[2]]
    list(run_many(length, two, results=file, jobs=1, settings={"factor": 1}))
    Path(models[2]).write_text("changed")
    changed = by_name(run_many(length, two, results=file, jobs=1, settings={"factor": 1}))
    assert changed["one"].resumed and not changed["three"].resumed
    assert changed["three"].result["bytes"] == 7
    work = functools.partial(length, factor=10)
    other = by_name(run_many(work, two, results=file, jobs=1, settings={"factor": 10}))
    assert other["three"].result["bytes"] == 70 and not other["one"].resumed


def test_the_caller_may_say_what_a_result_depends_on(models, tmp_path):
    file = tmp_path / "results.jsonl"
    identify = lambda model: {"name": Path(model).stem}  # noqa: E731
    list(run_many(length, models[:1], results=file, jobs=1, identify=identify))
    Path(models[0]).write_text("changed")
    (again,) = run_many(length, models[:1], results=file, jobs=1, identify=identify)
    assert again.resumed and again.result["bytes"] == 0
    (other,) = run_many(
        length, models[:1], results=file, jobs=1, identify=lambda model: {**identify(model), "x": 1}
    )
    assert not other.resumed and other.result["bytes"] == 7


def test_a_torn_line_is_cut_off_and_done_again(models, tmp_path):
    file = tmp_path / "results.jsonl"
    list(run_many(length, [models[0], models[2]], results=file, jobs=1))
    whole = file.read_bytes()
    file.write_bytes(whole[:-9])
    again = by_name(run_many(length, [models[0], models[2]], results=file, jobs=1))
    assert again["one"].resumed and not again["three"].resumed
    assert len([json.loads(line) for line in file.read_text().splitlines()]) == 2


@pytest.mark.parametrize("text", ["{}\n", "# notes\n", '{"model": 1\n', "\n"])
def test_other_peoples_files_are_not_touched(text, models, tmp_path):
    file = tmp_path / "notes.txt"
    file.write_text(text)
    with pytest.raises(SerenityError, match=r"notes\.txt:1: not a result") as caught:
        list(run_many(length, models, results=file, jobs=1))
    assert caught.value.exit_code == 2
    assert file.read_text() == text


def test_two_runs_do_not_mix_in_one_file(models, tmp_path):
    file = tmp_path / "results.jsonl"
    with open(file, "ab") as stream:
        fcntl.flock(stream, fcntl.LOCK_EX)
        with pytest.raises(SerenityError, match="another run"):
            list(run_many(length, models, results=file, jobs=1))


def test_results_in_no_folder(models, tmp_path):
    with pytest.raises(SerenityError, match="No such file") as caught:
        list(run_many(length, models, results=tmp_path / "no" / "results.jsonl", jobs=1))
    assert caught.value.exit_code == 2


def test_no_jobs_are_refused(models):
    with pytest.raises(ValueError, match="jobs"):
        list(run_many(length, models, jobs=0))


def group_lives(group: int) -> bool:
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    return True


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_a_run_that_is_ended_keeps_what_was_done_and_leaves_no_process(how, models, tmp_path):
    slow = tmp_path / "slow.mlir"
    slow.touch()
    script = tmp_path / "run.py"
    script.write_text(
        "import sys\n"
        "from serenity_mlir.running import run_many\n"
        f"sys.path.insert(0, {str(Path(__file__).parent)!r})\n"
        "from test_running import length\n"
        "if __name__ == '__main__':\n"
        "    file, *models = sys.argv[1:]\n"
        "    list(run_many(length, models, results=file, jobs=1))\n"
    )
    file = tmp_path / "results.jsonl"
    process = subprocess.Popen(
        [sys.executable, str(script), str(file), models[0], str(slow), models[2]],
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    deadline = time.monotonic() + 60
    while not slow.with_suffix(".started").exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    # To the parent alone, as `kill` sends it; a terminal would send it to all.
    process.send_signal(how)
    _, errors = process.communicate(timeout=60)
    assert process.returncode != 0
    assert how != signal.SIGINT or "KeyboardInterrupt" in errors
    assert [Path(json.loads(line)["model"]).stem for line in file.read_text().splitlines()] == [
        "one"
    ]
    # Python's own resource tracker ends a moment after its parent, and so do orphans.
    while group_lives(process.pid) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not group_lives(process.pid)
    slow.rename(tmp_path / "quick.mlir")
    again = by_name(
        run_many(length, [models[0], str(tmp_path / "quick.mlir")], results=file, jobs=1)
    )
    assert [record.result["bytes"] for record in again.values()] == [0, 0]


# --- which models ---------------------------------------------------------------


def test_folders_lists_and_names(tmp_path):
    for name in ("b.onnx", "a.mlir", "deep/c.mlirbc", "notes.txt", "odd.mlir/readme"):
        path = tmp_path / "nets" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    folder = tmp_path / "nets"
    inside = [str(folder / name) for name in ("a.mlir", "b.onnx", "deep/c.mlirbc")]
    assert find_models([folder]) == inside
    assert find_models(["x.mlir", folder, "swiftnet_c", inside[0]]) == [
        "x.mlir",
        *inside,
        "swiftnet_c",
    ]
    listing = tmp_path / "models.txt"
    listing.write_text("# nets\nnets/b.onnx\n\n  swiftnet_c\nnets\n")
    assert find_models([f"@{listing}"]) == [inside[1], "swiftnet_c", inside[0], inside[2]]


def test_nothing_found_is_wrong_usage(tmp_path):
    (tmp_path / "binary").write_bytes(b"\xff\xfe\x00")
    for argument in (str(tmp_path), f"@{tmp_path}/missing", f"@{tmp_path}/binary", f"@{tmp_path}"):
        with pytest.raises(SerenityError) as caught:
            find_models([argument])
        assert caught.value.exit_code == 2
        assert str(tmp_path) in str(caught.value)


# --- Dask -----------------------------------------------------------------------


def where(path: str) -> dict[str, str]:
    return {"path": path}


def test_a_dask_cluster_does_the_same(models, tmp_path, monkeypatch):
    distributed = pytest.importorskip("distributed", reason="Dask is not installed")
    file = tmp_path / "results.jsonl"
    with distributed.LocalCluster(
        n_workers=1, threads_per_worker=1, processes=False, dashboard_address=":0"
    ) as cluster:
        found = by_name(run_many(length, models, results=file, dask=cluster.scheduler_address))
        # Workers may have been started elsewhere.
        monkeypatch.chdir(tmp_path)
        (near, name) = run_many(where, ["one.mlir", "swiftnet_c"], dask=cluster.scheduler_address)
    assert {near.model, name.model} == {"one.mlir", "swiftnet_c"}
    assert {near.result["path"], name.result["path"]} == {models[0], "swiftnet_c"}
    assert {name for name, record in found.items() if record.result} == {"one", "three", "five"}
    assert found["failing"].exit_code == 3
    again = by_name(run_many(length, models[:1], results=file, jobs=1))
    assert again["one"].resumed


def test_no_dask_cluster_at_the_address(models):
    pytest.importorskip("distributed", reason="Dask is not installed")
    with pytest.raises(SerenityError, match="no Dask scheduler") as caught:
        list(run_many(length, models, dask="nonsense://"))
    assert caught.value.exit_code == 2


def test_without_dask_the_message_says_what_to_install(models, monkeypatch):
    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(SerenityError, match=r"serenity-mlir\[dask\]"):
        list(run_many(length, models, dask="tcp://localhost:1"))
