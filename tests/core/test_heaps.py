"""Damage that the HDF5 library cannot get over is found before it reads."""

from __future__ import annotations

from typing import TYPE_CHECKING

import h5py
import numpy as np
import pytest

from detcore.core import heaps
from detcore.core.heaps import check_heaps

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A file with texts of variable length."""
    place = tmp_path / "run.h5"
    with h5py.File(place, "w") as file:
        file.create_dataset("data", data=np.arange(4000))
        for number in range(20):
            file.attrs[f"text {number}"] = "detector" * (number + 1)
    return place


def damage(path: Path) -> int:
    """Give the free space of the first collection no size."""
    content = bytearray(path.read_bytes())
    start = at = content.find(heaps.SIGNATURE)
    assert start > 0
    at += heaps.HEADER
    while int.from_bytes(content[at : at + 2], "little"):
        at += heaps.HEADER + -(-int.from_bytes(content[at + 8 : at + 16], "little") // 8) * 8
    content[at + 8 : at + 16] = bytes(8)
    path.write_bytes(content)
    return start


def test_a_whole_file_passes(path: Path) -> None:
    check_heaps(path)


@pytest.mark.parametrize("before", [0, heaps.SEARCHED])
def test_free_space_without_a_size_is_found(path: Path, before: int) -> None:
    start = damage(path)
    path.write_bytes(bytes(before) + path.read_bytes())  # at the end of a long file, too
    with pytest.raises(ValueError, match=f"the heap at byte {before + start} has free space of an impossible size"):
        check_heaps(path)


def test_a_file_that_is_mended_is_looked_at_again(path: Path) -> None:
    whole = path.read_bytes()
    damage(path)
    with pytest.raises(ValueError, match="damaged"):
        check_heaps(path)
    path.write_bytes(whole + b"more")
    check_heaps(path)


def test_what_cannot_be_looked_at_is_left_to_its_reader(tmp_path: Path) -> None:
    (tmp_path / "empty").touch()
    check_heaps(tmp_path / "empty")
    check_heaps(tmp_path / "missing")
    check_heaps(tmp_path)
