"""Arrays as kernels take them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from numpy.typing import NDArray


def fixed(array: NDArray[Any]) -> NDArray[Any]:
    """Return a view that cannot be written to.

    For the compiler an array that can be written to and one that cannot are two types. Inputs of kernels are always of
    the second kind, so that none is compiled a second time for the constants of a detector or a mapped file.
    """
    view = array.view()
    view.flags.writeable = False
    return view
