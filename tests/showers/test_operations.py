"""Lists of operations: each does what the function does, and a file what the single showers do."""

from __future__ import annotations

import shlex
import threading
from typing import TYPE_CHECKING

import numpy as np
import pytest
from click.testing import CliRunner

from detcore import showers
from detcore.core.parameters import InvalidParameters
from detcore.showers.operations import BATCH

if TYPE_CHECKING:
    from pathlib import Path

CLUSTER = showers.Operation(kind="cluster")
RANDOM = showers.Operation(kind="cluster", random_shift=True)
NEAR = showers.Operation(kind="filter", radius=30, ecal_threshold=0.2, hcal_threshold=0.4)
SHIFT = showers.Operation(kind="shift")


def made(n: int, points: int = 40) -> showers.Ragged:
    """Oblique showers of random points in both parts of the calorimeter."""
    rng = np.random.default_rng(8)
    total = n * points
    columns = [
        rng.normal(0, 25, total),
        rng.normal(0, 25, total),
        rng.integers(0, 40, total),
        rng.exponential(5e-4, total),
        rng.exponential(2, total),
    ]
    table = np.stack(columns, axis=1).astype(np.float32)
    directions = np.tile(np.array([0.1, -0.05, 1.0], np.float32), (n, 1))
    return showers.Ragged.build(table, np.full(n, points), rng.uniform(5, 50, n), directions, np.full(n, 22))


def test_each_does_what_its_function_does() -> None:
    given = made(6)
    np.testing.assert_array_equal(
        showers.transform(given, [CLUSTER]).points, showers.cluster(given, random_shift=False).points
    )
    np.testing.assert_array_equal(
        showers.transform(given, [NEAR]).points, showers.filter_showers(given, 30, 2e-4, 4e-4).points
    )
    forth = showers.transform(given, [SHIFT, showers.Operation(kind="shift", inverse=True)])
    np.testing.assert_allclose(forth.points, given.points, atol=2e-4)


def test_the_order_counts() -> None:
    given = made(6)
    one, other = (showers.transform(given, steps) for steps in ([CLUSTER, NEAR], [NEAR, CLUSTER]))
    assert len(one.points) != len(other.points)


def test_nothing_is_done_without_operations() -> None:
    given = made(2)
    assert showers.transform(given, []) is given


def test_a_file_is_what_its_showers_are_wherever_batches_begin(tmp_path: Path) -> None:
    given = made(BATCH + 3, 4)
    showers.write_ragged(tmp_path / "a.h5", given)
    told: list[int] = []
    shape = showers.transform_file(
        tmp_path / "a.h5", tmp_path / "b.h5", [RANDOM, NEAR], progress=lambda done, *_: told.append(done)
    )
    assert shape == (BATCH + 3, 4, 5)
    assert told == [BATCH, BATCH + 3]
    found = showers.read_ragged(tmp_path / "b.h5")
    for number in (0, BATCH - 1, BATCH, BATCH + 2):
        alone = showers.transform(given[number : number + 1], [RANDOM, NEAR], first=number)
        np.testing.assert_array_equal(found.shower(number), alone.points)


def test_an_existing_file_stays(tmp_path: Path) -> None:
    showers.write_ragged(tmp_path / "a.h5", made(2))
    (tmp_path / "b.h5").write_text("mine")
    with pytest.raises(FileExistsError):
        showers.transform_file(tmp_path / "a.h5", tmp_path / "b.h5", [CLUSTER])
    assert (tmp_path / "b.h5").read_text() == "mine"


def test_a_cancelled_file_is_not_there(tmp_path: Path) -> None:
    showers.write_ragged(tmp_path / "a.h5", made(2))
    cancel = threading.Event()
    cancel.set()
    with pytest.raises(showers.Cancelled, match="nothing was written"):
        showers.transform_file(tmp_path / "a.h5", tmp_path / "b.h5", [CLUSTER], cancel=cancel)
    assert [path.name for path in tmp_path.iterdir()] == ["a.h5"]


def test_the_command_lines_write_the_same_file(tmp_path: Path) -> None:
    showers.write_ragged(tmp_path / "a.h5", made(5))
    steps = [RANDOM, NEAR, SHIFT]
    showers.transform_file(tmp_path / "a.h5", tmp_path / "b.h5", steps)
    for line in showers.command_lines(str(tmp_path / "a.h5"), str(tmp_path / "c.h5"), steps):
        words = shlex.split(line)
        result = CliRunner().invoke(showers.INSTRUMENT.commands(), words[2:], catch_exceptions=False)
        assert result.exit_code == 0, result.output
    one, other = (showers.read_ragged(tmp_path / name) for name in ("b.h5", "c.h5"))
    np.testing.assert_array_equal(one.points, other.points)
    np.testing.assert_array_equal(one.offsets, other.offsets)


@pytest.mark.parametrize(
    "values", [{"radius": -1}, {"ecal_threshold": float("nan")}, {"radius": float("inf")}, {"magic": 1}]
)
def test_impossible_operations_are_refused(values: dict[str, float]) -> None:
    with pytest.raises(InvalidParameters):
        showers.Operation.checked({"kind": "filter"} | values)
