# Made by cmake/write_stubs.py; do not edit.
"""Schedulers and offset packing of serenity_mlir, without MLIR."""

from typing import Any
from collections.abc import Callable, Sequence
import enum
from typing import Annotated

import numpy
from numpy.typing import NDArray

class Problem:
    """Buffers and operations of a scheduling problem."""

    def __init__(self) -> None: ...
    def add_buffer(
        self, name: str, bytes: int, live_in: bool = False, live_out: bool = False
    ) -> int:
        """Adds a buffer; returns its index."""

    def add_operation(
        self, name: str, uses: Sequence[int], after: Sequence[int], workspace_bytes: int = 0
    ) -> int:
        """Adds an operation; returns its index."""

    @property
    def num_buffers(self) -> int: ...
    @property
    def num_operations(self) -> int: ...
    def check(self) -> str | None:
        """The error of the problem, or None."""

class ScheduleResult:
    @property
    def order(self) -> Annotated[NDArray[numpy.int32], dict(shape=(None,))]: ...
    @property
    def peak_bytes(self) -> int: ...
    @property
    def lower_bound_bytes(self) -> int: ...
    @property
    def optimal(self) -> bool: ...
    @property
    def proved_by(self) -> str: ...
    @property
    def states(self) -> int: ...
    @property
    def seconds(self) -> float: ...
    @property
    def interrupted(self) -> bool: ...

def schedule(
    problem: Problem,
    scheduler: str = "exact",
    time_limit: float = 10.0,
    state_limit: int = 0,
    memory_limit: int = 1073741824,
    given_order: Sequence[int] = [],
    seed: int = 0,
    disabled: Sequence[str] = [],
    progress: Callable[[int, int, int, float], bool] | None = None,
) -> ScheduleResult:
    """Finds an order of least peak memory."""

def simulate(problem: Problem, order: Sequence[int]) -> tuple[Any, ...]:
    """
    Plays an order: (peak, live bytes per step, first and last step per buffer).
    """

def verify_order(problem: Problem, order: Sequence[int]) -> str | None:
    """Why an order is not a valid one, or None."""

SWITCHES: tuple[Any, ...] = ...

class PackAlgorithm(enum.Enum):
    """How `pack` assigns offsets; see Offsets.h."""

    EXACT = 0

    GREEDY = 1

    IREE = 2

class PackRules:
    """Inferences of the exact search, on by default."""

    def __init__(self) -> None: ...
    @property
    def section_inference(self) -> bool: ...
    @section_inference.setter
    def section_inference(self, arg: bool, /) -> None: ...
    @property
    def dominance(self) -> bool: ...
    @dominance.setter
    def dominance(self, arg: bool, /) -> None: ...
    @property
    def decomposition(self) -> bool: ...
    @decomposition.setter
    def decomposition(self, arg: bool, /) -> None: ...
    @property
    def release_bound(self) -> bool: ...
    @release_bound.setter
    def release_bound(self, arg: bool, /) -> None: ...
    @property
    def precedence(self) -> bool: ...
    @precedence.setter
    def precedence(self, arg: bool, /) -> None: ...
    @property
    def full_sections(self) -> bool: ...
    @full_sections.setter
    def full_sections(self, arg: bool, /) -> None: ...
    @property
    def joints(self) -> bool: ...
    @joints.setter
    def joints(self, arg: bool, /) -> None: ...
    @property
    def symmetry(self) -> bool: ...
    @symmetry.setter
    def symmetry(self, arg: bool, /) -> None: ...
    @property
    def memory(self) -> bool: ...
    @memory.setter
    def memory(self, arg: bool, /) -> None: ...

class PackOptions:
    """Options of `pack_slices`."""

    def __init__(self) -> None: ...
    @property
    def algorithm(self) -> PackAlgorithm: ...
    @algorithm.setter
    def algorithm(self, arg: PackAlgorithm, /) -> None: ...
    @property
    def time_limit_seconds(self) -> float: ...
    @time_limit_seconds.setter
    def time_limit_seconds(self, arg: float, /) -> None: ...
    @property
    def node_limit(self) -> int: ...
    @node_limit.setter
    def node_limit(self, arg: int, /) -> None: ...
    @property
    def offset_alignment(self) -> int: ...
    @offset_alignment.setter
    def offset_alignment(self, arg: int, /) -> None: ...
    @property
    def range_alignment(self) -> int: ...
    @range_alignment.setter
    def range_alignment(self, arg: int, /) -> None: ...
    @property
    def capacity(self) -> int | None: ...
    @capacity.setter
    def capacity(self, arg: int | None, /) -> None: ...
    @property
    def rules(self) -> PackRules: ...
    @rules.setter
    def rules(self, arg: PackRules, /) -> None: ...

class PackResult:
    """The result of `pack_slices`."""

    @property
    def offsets(self) -> Annotated[NDArray[numpy.int64], dict(shape=(None,))]: ...
    @property
    def height_bytes(self) -> int: ...
    @property
    def lower_bound_bytes(self) -> int: ...
    @property
    def optimal(self) -> bool: ...
    @property
    def infeasible(self) -> bool: ...
    @property
    def nodes(self) -> int: ...
    @property
    def seconds(self) -> float: ...
    @property
    def proved_by(self) -> str: ...
    @property
    def interrupted(self) -> bool: ...

def pack_slices(
    lower: Annotated[
        NDArray[numpy.int64], dict(shape=(None,), order="C", device="cpu", writable=False)
    ],
    upper: Annotated[
        NDArray[numpy.int64], dict(shape=(None,), order="C", device="cpu", writable=False)
    ],
    size: Annotated[
        NDArray[numpy.int64], dict(shape=(None,), order="C", device="cpu", writable=False)
    ],
    alignment: Annotated[
        NDArray[numpy.int64], dict(shape=(None,), order="C", device="cpu", writable=False)
    ],
    fixed_offset: Annotated[
        NDArray[numpy.int64], dict(shape=(None,), order="C", device="cpu", writable=False)
    ],
    gaps: Sequence[Sequence[int]],
    options: PackOptions,
) -> PackResult:
    """
    Assigns offsets; the arrays hold one int64 per slice. Raises ValueError naming the slice if the input is malformed.
    """

def check_slices(
    lower: Annotated[
        NDArray[numpy.int64], dict(shape=(None,), order="C", device="cpu", writable=False)
    ],
    upper: Annotated[
        NDArray[numpy.int64], dict(shape=(None,), order="C", device="cpu", writable=False)
    ],
    size: Annotated[
        NDArray[numpy.int64], dict(shape=(None,), order="C", device="cpu", writable=False)
    ],
    alignment: Annotated[
        NDArray[numpy.int64], dict(shape=(None,), order="C", device="cpu", writable=False)
    ],
    fixed_offset: Annotated[
        NDArray[numpy.int64], dict(shape=(None,), order="C", device="cpu", writable=False)
    ],
    gaps: Sequence[Sequence[int]],
    options: PackOptions,
) -> str | None:
    """Returns what is wrong with the slices, or None."""

def verify_offsets(
    lower: Annotated[
        NDArray[numpy.int64], dict(shape=(None,), order="C", device="cpu", writable=False)
    ],
    upper: Annotated[
        NDArray[numpy.int64], dict(shape=(None,), order="C", device="cpu", writable=False)
    ],
    size: Annotated[
        NDArray[numpy.int64], dict(shape=(None,), order="C", device="cpu", writable=False)
    ],
    alignment: Annotated[
        NDArray[numpy.int64], dict(shape=(None,), order="C", device="cpu", writable=False)
    ],
    fixed_offset: Annotated[
        NDArray[numpy.int64], dict(shape=(None,), order="C", device="cpu", writable=False)
    ],
    gaps: Sequence[Sequence[int]],
    options: PackOptions,
    offsets: Annotated[
        NDArray[numpy.int64], dict(shape=(None,), order="C", device="cpu", writable=False)
    ],
) -> str | None:
    """
    Returns the first conflict of a packing, or None. Shares no code with the packers.
    """

def maximum_live_bytes(
    lower: Annotated[
        NDArray[numpy.int64], dict(shape=(None,), order="C", device="cpu", writable=False)
    ],
    upper: Annotated[
        NDArray[numpy.int64], dict(shape=(None,), order="C", device="cpu", writable=False)
    ],
    size: Annotated[
        NDArray[numpy.int64], dict(shape=(None,), order="C", device="cpu", writable=False)
    ],
    alignment: Annotated[
        NDArray[numpy.int64], dict(shape=(None,), order="C", device="cpu", writable=False)
    ],
    fixed_offset: Annotated[
        NDArray[numpy.int64], dict(shape=(None,), order="C", device="cpu", writable=False)
    ],
    gaps: Sequence[Sequence[int]],
    options: PackOptions,
) -> int:
    """Maximum over time of the bytes in use."""

class OptionDeclaration:
    @property
    def name(self) -> str: ...
    @property
    def value(self) -> str: ...
    @property
    def help(self) -> str: ...
    @property
    def initial(self) -> str: ...
    @property
    def kind(self) -> str: ...
    @property
    def choices(self) -> list[str]: ...
    @property
    def is_driver_flag(self) -> bool: ...
    @property
    def is_pass_option(self) -> bool: ...

class PassDeclaration:
    @property
    def name(self) -> str: ...
    @property
    def source(self) -> str: ...
    @property
    def summary(self) -> str: ...
    @property
    def options(self) -> list[str]: ...
    @property
    def level(self) -> str: ...
    @property
    def place(self) -> str: ...

class RewriteKindDeclaration:
    """A rewrite kind, as RewriteKinds.def declares it."""

    @property
    def name(self) -> str: ...
    @property
    def anchor(self) -> str: ...
    @property
    def summary(self) -> str: ...
    @property
    def limits(self) -> str: ...

def rewrite_kind_declarations() -> list[RewriteKindDeclaration]: ...
def rewrite_refusals() -> list[str]: ...
def option_declarations() -> list[OptionDeclaration]: ...
def pass_declarations() -> list[PassDeclaration]: ...
def check_option(name: str, value: str) -> None: ...
