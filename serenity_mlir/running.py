# Part of serenity_mlir, under the Apache License v2.0 with LLVM Exceptions.
# See LICENSE for license information.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""One piece of work over many models: in parallel, resumable, and none stops the others.

`run_many` calls a function for every model, in processes of its own or on a Dask cluster, and
appends its result to a file of JSON lines as soon as it is there. Started again with the same
file it does only the missing work: a record holds as long as the model's content, the settings and
the versions of serenity_mlir and IREE are the same.

::

    for record in run_many(partial(bench_one, repetitions=5), find_models(["models/"]),
                           settings={"repetitions": 5}, results="bench.jsonl"):
        print(record.model, record.result or record.error)

As with every use of `multiprocessing`, a script that calls `run_many` does so below
``if __name__ == "__main__":``.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import multiprocessing
import os
import signal
import threading
import time
import traceback
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass, replace
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import IO, Any

from serenity_mlir._versions import iree_version, serenity_version
from serenity_mlir.compiling.importing import SUFFIXES
from serenity_mlir.errors import SerenityError

__all__ = ["Record", "content_digest", "find_models", "run_many"]

#: The work: takes a model as it stands in the list, returns JSON data. Must be picklable:
#: a function of a module, or a `functools.partial` of one.
Work = Callable[[str], Mapping[str, Any]]


@dataclass(frozen=True)
class Record:
    """The outcome of one model.

    Attributes:
      model: as it was given.
      fingerprint: of the model's content, the settings and the versions.
      seconds: the work took, wall clock.
      result: the value that the work returned; None if it failed.
      error: why it failed; None if it did not.
      exit_code: 0, or the exit code that `serenity` documents for the failure.
      resumed: read from the file, not done now.
    """

    model: str
    fingerprint: str
    seconds: float
    result: Mapping[str, Any] | None = None
    error: str | None = None
    exit_code: int = 0
    resumed: bool = False

    def to_dict(self) -> dict[str, Any]:
        """Return the record as a line of the file has it."""
        return {
            "model": self.model,
            "fingerprint": self.fingerprint,
            "seconds": round(self.seconds, 3),
            "exit_code": self.exit_code,
            **({"error": self.error} if self.result is None else {"result": dict(self.result)}),
        }


# --- which models --------------------------------------------------------------


def find_models(arguments: Sequence[str | os.PathLike[str]]) -> list[str]:
    """Return the models that paths name, each once, in the order given.

    Args:
      arguments: model files and names of the package's networks as they are; folders for all model
        files below them, by name; ``@FILE`` for a list, one argument per line, where empty lines
        and those that begin with ``#`` do not count. Paths in a list start at the list's folder.

    Raises:
      SerenityError: a folder has no model, or a list cannot be read (exit code 2).
    """
    found: dict[str, None] = {}
    for given in arguments:
        argument = os.fspath(given)
        if argument.startswith("@"):
            found.update(dict.fromkeys(find_models(_read_list(Path(argument[1:])))))
        elif os.path.isdir(argument):
            below = sorted(
                str(path)
                for path in Path(argument).rglob("*")
                if path.suffix in SUFFIXES and path.is_file()
            )
            if not below:
                raise SerenityError(
                    f"{argument}: no model in this folder; models end in {', '.join(SUFFIXES)}",
                    exit_code=2,
                )
            found.update(dict.fromkeys(below))
        else:
            found[argument] = None
    return list(found)


def _read_list(path: Path) -> list[str]:
    from serenity_mlir import networks

    try:
        lines = path.read_text("utf-8-sig").splitlines()
    except OSError as error:
        raise SerenityError(f"{path}: {error.strerror}", exit_code=2) from None
    except UnicodeDecodeError:
        raise SerenityError(f"{path}: not a text file", exit_code=2) from None
    entries = [line.strip() for line in lines]
    return [
        entry if entry in networks.names() else str(path.parent / entry)
        for entry in entries
        if entry and not entry.startswith("#")
    ]


def content_digest(model: str) -> str:
    """Return a digest of a model file's content, or of the name where there is no such file."""
    digest = hashlib.sha256()
    try:
        with open(model, "rb") as stream:
            while block := stream.read(1 << 20):
                digest.update(block)
    except OSError:
        digest.update(model.encode())  # A network's name, or a file that the work will miss.
    return digest.hexdigest()


def _identify(model: str) -> Mapping[str, Any]:
    """Return the dependences of a result, by default for `run_many`."""
    return {"content": content_digest(model), "versions": [serenity_version(), iree_version()]}


def _fingerprint(work: Work, settings: Mapping[str, Any], about_model: Mapping[str, Any]) -> str:
    """Return a digest of all that a result depends on."""
    function = getattr(work, "func", work)
    about = {
        "work": f"{function.__module__}.{function.__qualname__}",
        "settings": settings,
        "model": about_model,
    }
    return hashlib.sha256(json.dumps(about, sort_keys=True, default=str).encode()).hexdigest()[:16]


# --- the file ------------------------------------------------------------------


@contextmanager
def _open_results(path: Path) -> Iterator[IO[bytes]]:
    """Open the file for appending; no second run may write it meanwhile."""
    try:
        stream = open(path, "a+b")  # noqa: SIM115
    except OSError as error:
        raise SerenityError(f"{path}: {error.strerror}", exit_code=2) from None
    with stream:
        try:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise SerenityError(
                f"{path}: another run is writing this file; wait for it or name another",
                exit_code=2,
            ) from None
        except OSError:
            pass  # A file system without locks.
        yield stream


def _read_results(path: Path, stream: IO[bytes]) -> dict[tuple[str, str], Record]:
    """Return the records by model and fingerprint, the last one of each; cut a torn line off."""
    stream.seek(0)
    data = stream.read()
    whole = data[: data.rfind(b"\n") + 1]
    records: dict[tuple[str, str], Record] = {}
    for number, line in enumerate(whole.splitlines(), 1):
        try:
            fields = json.loads(line)
            record = Record(
                model=fields["model"],
                fingerprint=fields["fingerprint"],
                seconds=fields["seconds"],
                result=fields.get("result"),
                error=fields.get("error"),
                exit_code=fields["exit_code"],
                resumed=True,
            )
        except (ValueError, TypeError, KeyError):
            raise SerenityError(
                f"{path}:{number}: not a result of an earlier run; name another file", exit_code=2
            ) from None
        records[record.model, record.fingerprint] = record
    if len(whole) < len(data):
        # A run that was killed while it wrote.
        stream.truncate(len(whole))
    return records


# --- the work ------------------------------------------------------------------

#: A worker whose parent is gone has this long to end the processes it started.
_SECONDS_TO_UNWIND = 5.0


class _Worker:
    """A process of the pool: it ends with Ctrl-C, and with its parent."""

    busy = False
    interrupted = False

    @classmethod
    def start(cls) -> None:
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, cls._interrupt)
        follower = threading.Thread(
            target=cls._follow, args=(multiprocessing.parent_process(),), daemon=True
        )
        follower.start()

    @classmethod
    def _interrupt(cls, *_: Any) -> None:
        """Unwind work under way once, and end an idle worker in silence."""
        if not cls.busy:
            os._exit(130)
        if not cls.interrupted:
            cls.interrupted = True
            raise KeyboardInterrupt

    @staticmethod
    def _follow(parent: BaseProcess | None) -> None:
        """A parent that was killed cannot end its workers, and no queue tells them."""
        if parent is None:
            return
        parent.join()
        os.kill(os.getpid(), signal.SIGINT)
        time.sleep(_SECONDS_TO_UNWIND)
        os._exit(130)


def _attempt(work: Work, model: str, fingerprint: str, path: str | None = None) -> Record:
    """Do the work in this process, on `path` if given; only an interruption is raised."""
    start = time.perf_counter()
    record = Record(model, fingerprint, 0.0)
    _Worker.busy = True
    try:
        result = dict(work(path or model))
        json.dumps(result)
        record = replace(record, result=result)
    except SerenityError as error:
        code = error.exit_code if error.exit_code > 0 else 1
        record = replace(record, error=str(error), exit_code=code)
    except Exception as error:
        # A defect, here or in the caller: where it is must not be lost.
        text = "".join(traceback.format_exception(error)).rstrip()
        record = replace(record, error=text, exit_code=1)
    finally:
        _Worker.busy = False
    return replace(record, seconds=time.perf_counter() - start)


Task = tuple[str, str]


def _interrupt(processes: Iterable[BaseProcess]) -> None:
    for process in processes:
        if process.pid is not None and process.is_alive():
            os.kill(process.pid, signal.SIGINT)


def _in_processes(work: Work, tasks: Sequence[Task], jobs: int) -> Iterator[Record]:
    """Run the tasks, as many at a time as there are jobs."""
    waiting = list(reversed(tasks))
    # Tasks that ran when a worker died. Each gets a worker of its own, to find the culprit.
    suspects: list[Task] = []
    while waiting or suspects:
        alone = bool(suspects)
        queue = [suspects.pop()] if alone else waiting
        context = multiprocessing.get_context("spawn")
        others = set(multiprocessing.active_children())
        pool = ProcessPoolExecutor(
            1 if alone else min(jobs, len(queue)), context, initializer=_Worker.start
        )
        running: dict[Future[Record], Task] = {}
        try:
            while queue or running:
                while queue and len(running) < (1 if alone else jobs):
                    task = queue.pop()
                    running[pool.submit(_attempt, work, *task)] = task
                for future in wait(running, return_when=FIRST_COMPLETED).done:
                    task = running.pop(future)
                    try:
                        record = future.result()
                    except BrokenProcessPool:
                        running[future] = task
                        raise
                    except Exception as error:  # The work or its result does not pickle.
                        record = Record(*task, 0.0, error=str(error), exit_code=1)
                    yield record
        except BrokenProcessPool:
            if not alone:
                suspects += running.values()
                continue
            for task in running.values():
                yield Record(
                    *task,
                    0.0,
                    error="the process that worked on this model was killed or crashed; "
                    "if memory ran out, use fewer jobs",
                    exit_code=1,
                )
        except BaseException:
            _interrupt(set(multiprocessing.active_children()) - others)
            raise
        finally:
            pool.shutdown(wait=True, cancel_futures=True)


def _on_dask(work: Work, tasks: Sequence[Task], address: str) -> Iterator[Record]:
    """Run the tasks on the cluster at `address`."""
    try:
        from distributed import Client, as_completed
    except ImportError:
        raise SerenityError(
            "running on a Dask cluster needs Dask: pip install 'serenity-mlir[dask]'", exit_code=2
        ) from None
    try:
        client = Client(address, timeout="10s", set_as_default=False)
    except (OSError, ValueError) as error:
        raise SerenityError(f"no Dask scheduler at {address}: {error}", exit_code=2) from None
    with client:
        # Not pure: the same task of another run must not be answered from the cluster's memory.
        # Nor need its workers have been started in the same folder as this process.
        futures = {
            client.submit(
                _attempt,
                work,
                *task,
                os.path.abspath(task[0]) if os.path.exists(task[0]) else None,
                pure=False,
            ): task
            for task in tasks
        }
        try:
            for future in as_completed(list(futures), loop=client.loop):
                failure = future.exception()
                if failure is None:
                    yield future.result()
                else:
                    told = f"Dask worker: {failure}"
                    yield Record(*futures[future], 0.0, error=told, exit_code=1)
                future.release()
        except BaseException:
            client.cancel(list(futures))
            raise


def run_many(
    work: Work,
    models: Iterable[str],
    *,
    settings: Mapping[str, Any] | None = None,
    results: str | os.PathLike[str] | None = None,
    jobs: int | None = None,
    dask: str | None = None,
    identify: Callable[[str], Mapping[str, Any]] | None = None,
) -> Iterator[Record]:
    """Do `work` for every model and yield the records as they come.

    A failure is a record, whatever its kind: an exception, a worker that crashed. Records of an
    earlier run come first, in the order of `models`; failures among them are tried again.

    Args:
      work: the function; see `Work`.
      models: each is one call; see `find_models`.
      settings: all that the results depend on beside the models, for recognising earlier records.
        JSON can hold it.
      results: file of JSON lines (`Record.to_dict`) to append to; None keeps none.
      jobs: processes at a time; the processors that this process may use if None.
      dask: address of a Dask scheduler, ``tcp://HOST:8786``, that runs the work instead. Its
        workers have this package, and find the models under the same paths.
      identify: returns the data that the result for a model depends on beside `settings`, as JSON
        data, instead of its content and the versions of serenity_mlir and IREE.

    Raises:
      SerenityError: `results` cannot be written, or is the file of something else, or there is no
        such cluster (exit code 2).
      ValueError: `jobs` is less than 1.
    """
    if jobs is not None and jobs < 1:
        raise ValueError(f"jobs must be at least 1, got {jobs}")
    jobs = jobs or len(os.sched_getaffinity(0))
    identify = identify or _identify
    tasks = [(model, _fingerprint(work, settings or {}, identify(model))) for model in models]
    start = _on_dask if dask is not None else _in_processes
    where: Any = dask if dask is not None else jobs
    if results is None:
        yield from start(work, tasks, where)
        return
    path = Path(results)
    with _open_results(path) as stream:
        known = _read_results(path, stream)
        todo = []
        for task in tasks:
            record = known.get(task)
            if record is None or record.result is None:
                todo.append(task)
            else:
                yield record
        for record in start(work, todo, where):
            stream.write(json.dumps(record.to_dict()).encode() + b"\n")
            stream.flush()
            yield record
