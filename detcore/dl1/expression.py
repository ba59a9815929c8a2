"""Conditions on tables, written as text: ``(mc_energy > 0.1) & (LST_LSTCam_multiplicity >= 2)``.

The language is that of PyTables' conditions: numbers, names of columns, arithmetic, comparisons, ``& | ~`` and a few
functions. Nothing else is understood, so that text from a configuration, a link or a form can be evaluated.
"""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pandas as pd

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from numpy.typing import ArrayLike, NDArray

LONGEST: Final = 4096  # characters
SHOWN: Final = 200  # of them in messages
DEEPEST: Final = 100  # operations in operations

_FUNCTIONS: Final[dict[str, Callable[..., Any]]] = {
    "where": np.where,
    "abs": np.abs,
    "sqrt": np.sqrt,
    "exp": np.exp,
    "log": np.log,
    "log10": np.log10,
    "sin": np.sin,
    "cos": np.cos,
    "tan": np.tan,
    "arctan2": np.arctan2,
    "minimum": np.minimum,
    "maximum": np.maximum,
    "isfinite": np.isfinite,
    "isnan": np.isnan,
}
_ARGUMENTS: Final = {"where": 3, "arctan2": 2, "minimum": 2, "maximum": 2}
_TWO: Final[dict[type[ast.AST], Callable[..., Any]]] = {
    ast.Add: np.add,
    ast.Sub: np.subtract,
    ast.Mult: np.multiply,
    ast.Div: np.true_divide,
    ast.Mod: np.mod,
    ast.Pow: np.float_power,  # a negative power of a whole number is an error of np.power
}
_LOGICAL: Final[dict[type[ast.AST], Callable[..., Any]]] = {
    ast.BitAnd: np.logical_and,
    ast.And: np.logical_and,
    ast.BitOr: np.logical_or,
    ast.Or: np.logical_or,
}
_COMPARE: Final[dict[type[ast.AST], Callable[..., Any]]] = {
    ast.Lt: np.less,
    ast.LtE: np.less_equal,
    ast.Gt: np.greater,
    ast.GtE: np.greater_equal,
    ast.Eq: np.equal,
    ast.NotEq: np.not_equal,
}


class InvalidExpression(ValueError):
    """A condition that is not understood."""


def evaluate(
    expression: str, columns: Mapping[str, ArrayLike] | pd.DataFrame, rows: int | None = None
) -> NDArray[np.bool_]:
    """Return in which rows a condition holds.

    Parameters
    ----------
    expression
        The condition.
    columns
        (row,) numbers of each name, or a table.
    rows
        How many there are; None: as long as the table, or the first column.

    Returns
    -------
    ndarray
        (row,) bool; comparisons with nan do not hold.

    Raises
    ------
    InvalidExpression
        The text is no condition, or names a column that is not there.

    Examples
    --------
    >>> evaluate("(energy > 1) & ~(multiplicity == 2)", {"energy": [0.5, 2, 3], "multiplicity": [2, 2, 4]})
    array([False, False,  True])
    """
    if len(expression) > LONGEST:
        msg = f"a condition of {len(expression)} characters; at most {LONGEST} are read"
        raise InvalidExpression(msg)
    shown = repr(expression if len(expression) <= SHOWN else f"{expression[:SHOWN]}…")
    try:
        tree = ast.parse(expression.strip(), mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        msg = f"{shown} is no condition ({getattr(error, 'msg', error)}); write, for instance, (mc_energy > 0.1)"
        raise InvalidExpression(msg) from None
    if isinstance(columns, pd.DataFrame):
        rows = len(columns) if rows is None else rows
        columns = {str(name): values for name, values in columns.items()}
    length = len(np.asarray(next(iter(columns.values())))) if rows is None else rows
    try:
        with np.errstate(all="ignore"):
            found = np.asarray(_value(tree, columns, 0))
            return np.broadcast_to(_truth(found, tree), (length,)).copy()
    except InvalidExpression as error:
        msg = f"{shown}: {error}"
        raise InvalidExpression(msg) from None
    except (TypeError, ValueError, OverflowError) as error:
        msg = f"{shown} cannot be evaluated: {error}"
        raise InvalidExpression(msg) from None


def names(expression: str) -> set[str]:
    """Return the names of columns in a condition.

    Raises
    ------
    InvalidExpression
        The text is no condition.
    """
    used: set[str] = set()

    class Everything(dict[str, Any]):
        def __missing__(self, name: str) -> NDArray[np.float64]:
            used.add(name)
            return np.ones(1)

        def __contains__(self, name: object) -> bool:
            return True

    evaluate(expression, Everything(), 1)
    return used


def _truth(found: NDArray[Any], node: ast.AST) -> NDArray[np.bool_]:
    if found.dtype != bool:
        msg = (
            f"expected a condition, found the number {ast.unparse(node)!r}; use & and | between comparisons in brackets"
        )
        raise InvalidExpression(msg)
    return found


def _value(node: ast.AST, columns: Mapping[str, ArrayLike], depth: int) -> Any:
    if depth > DEEPEST:
        msg = f"more than {DEEPEST} operations in each other"
        raise InvalidExpression(msg)

    def value(part: ast.AST) -> Any:
        return _value(part, columns, depth + 1)

    def truth(part: ast.AST) -> Any:
        return _truth(np.asarray(value(part)), part)

    match node:
        case ast.Constant(value=bool() as constant):
            return np.bool_(constant)
        case ast.Constant(value=int() | float() as constant):
            # never whole numbers of Python, whose powers grow without end
            return np.int64(constant) if isinstance(constant, int) and abs(constant) < 2**63 else np.float64(constant)
        case ast.Name(id=name):
            if name not in columns:
                msg = f"there is no column {name!r}; there are {', '.join(columns)}"
                raise InvalidExpression(msg)
            return np.asarray(columns[name])
        case ast.UnaryOp(op=ast.Invert() | ast.Not(), operand=part):
            return np.logical_not(truth(part))
        case ast.UnaryOp(op=ast.USub(), operand=part):
            return np.negative(value(part))
        case ast.UnaryOp(op=ast.UAdd(), operand=part):
            return value(part)
        case ast.BinOp(left=left, op=operator, right=right) if type(operator) in _TWO:
            return _TWO[type(operator)](value(left), value(right))
        case ast.BinOp(left=left, op=operator, right=right) if type(operator) in _LOGICAL:
            return _LOGICAL[type(operator)](truth(left), truth(right))
        case ast.BoolOp(op=operator, values=parts):
            found = truth(parts[0])
            for part in parts[1:]:
                found = _LOGICAL[type(operator)](found, truth(part))
            return found
        case ast.Compare(left=left, ops=comparisons, comparators=others) if all(
            type(one) in _COMPARE for one in comparisons
        ):
            ends = [value(part) for part in (left, *others)]
            found = np.bool_(True)
            for comparison, low, high in zip(comparisons, ends[:-1], ends[1:], strict=True):
                found = np.logical_and(found, _COMPARE[type(comparison)](low, high))
            return found
        case ast.Call(func=ast.Name(id=name), args=parts, keywords=[]) if name in _FUNCTIONS:
            if len(parts) != _ARGUMENTS.get(name, 1):
                msg = f"{name} takes {_ARGUMENTS.get(name, 1)} values, found {len(parts)}"
                raise InvalidExpression(msg)
            return _FUNCTIONS[name](*(value(part) for part in parts))
        case _:
            msg = f"{ast.unparse(node)!r} is not understood; functions are {', '.join(_FUNCTIONS)}"
            raise InvalidExpression(msg)
