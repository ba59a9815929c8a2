"""The mask above an image: which reason is shown where, in blocks of what is looked at, and its legend."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from bokeh.document import Document

from dashboard.views.image import ImageView
from dashboard.views.maskover import NAMES, MaskOver, all_bits, reasons
from dashboard.views.picture import Window
from detcore.image import BITS

if TYPE_CHECKING:
    from collections.abc import Callable


def shown(over: MaskOver) -> Any:
    return over.source.data["image"][0]


def named(over: MaskOver) -> list[str]:
    return [name for name in NAMES if over.explains(name)]


def test_each_bit_has_its_reason() -> None:
    for name, bit in BITS.items():
        found = reasons(np.array([1 << bit], np.uint32))[0]
        assert NAMES[found - 1] == name
    several = np.array([(1 << 8) + 1, (1 << 4) + 2, 1 << 12, (1 << 31) + 1, 1 << 20, 0], np.uint32)
    assert [NAMES[n - 1] if n else "" for n in reasons(several)] == ["user", "noisy", "other", "gap", "", ""]


@pytest.mark.parametrize("block", [1, 2, 3, 5])
def test_blocks_hold_all_bits_of_their_pixels(block: int) -> None:
    mask = (1 << np.random.default_rng(1).integers(0, 9, (17, 23))).astype(np.uint32)
    window = Window(block, 23, 2 * block, 17, block)
    found = all_bits(mask, window)
    for row, column in np.ndindex(found.shape):
        y, x = window.top + row * block, window.left + column * block
        assert found[row, column] == np.bitwise_or.reduce(mask[y : y + block, x : x + block], axis=None)
    assert found.shape == (-(-(17 - 2 * block) // block), -(-(23 - block) // block))


def test_a_single_bad_pixel_is_seen_from_far_and_in_its_place_from_near() -> None:
    view = ImageView()
    Document().add_root(view.figure)
    view.show(np.zeros((2400, 3000), np.uint16))
    over = MaskOver(view)
    mask = np.zeros((2400, 3000), np.uint32)
    mask[1200, 1000] = 16
    over.show(mask)
    assert shown(over).shape == view.shown.colours.shape  # type: ignore[union-attr]
    assert np.argwhere(shown(over)).tolist() == [[400, 333]]
    assert named(over) == ["noisy"]
    view.figure.x_range.update(start=990, end=1010)
    view.figure.y_range.update(start=1210, end=1190)
    for callback in list(view.figure.document.session_callbacks):
        callback.callback()
    left, top = (round(over.source.data[name][0] + 0.5) for name in "xy")
    assert np.argwhere(shown(over)).tolist() == [[1200 - top, 1000 - left]]
    assert named(over) == ["noisy"]


def test_nothing_is_drawn_where_all_is_good_or_hidden() -> None:
    view = ImageView()
    view.show(np.zeros((3, 4)))
    over = MaskOver(view)
    over.show(np.zeros((3, 4), np.uint32))
    assert not shown(over).any()
    assert named(over) == []
    mask = np.full((3, 4), 1 << 31, np.uint32)
    mask[1, 2] |= 2
    over.show(mask)
    assert named(over) == ["virtual", "dead"]
    over.visible = False
    assert named(over) == []
    over.show(mask | np.uint32(1))
    assert named(over) == []
    over.visible = True
    assert named(over) == ["virtual", "gap", "dead"]
    over.show(None)
    assert named(over) == []
    assert over.source.data["image"] == []


def test_the_newest_mask_wins() -> None:
    waiting: list[tuple[Callable[[], Any], Callable[[Any], None]]] = []
    view = ImageView()
    view.show(np.zeros((3, 4)))
    over = MaskOver(view, run=lambda work, done: waiting.append((work, done)))
    first, last = (np.full((3, 4), bit, np.uint32) for bit in (1, 2))
    over.show(first)
    over.show(last)
    while waiting:
        work, done = waiting.pop(0)
        done(work())
    assert named(over) == ["dead"]
    over.show(last)
    assert not waiting, "the same array is drawn already"
    over.show(first)
    work, done = waiting.pop()
    over.show(None)
    done(work())
    assert over.source.data["image"] == []


@pytest.mark.parametrize("mask", [np.zeros((3, 4), np.int32), np.zeros((1, 3, 4), np.uint32), np.zeros((3, 4), bool)])
def test_other_arrays_are_refused(mask: np.ndarray[Any, Any]) -> None:
    over = MaskOver(ImageView())
    with pytest.raises(ValueError, match="uint32 expected"):
        over.show(mask)
