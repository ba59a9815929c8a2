"""Values of a Python file that describes a production, found by walking its syntax tree; nothing of it is executed.

Such files are mostly lists and dictionaries, put together in a function of the run number. What is understood here:
literals, sums and products of numbers, names that were given a value before, entries of lists and dictionaries,
``append``, ``if`` with comparisons, ``for`` over a list, ``int(run)``, ``np.array([…])``. A file that would be loaded
(``np.load("mask.npy")``) becomes its name. Everything else is reported with its line, and its value left out.
"""

from __future__ import annotations

import ast
import math
import operator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

MAX_TEXT: Final = 1_000_000
MAX_STEPS: Final = 200_000
LARGEST: Final = 1e15
OPERATORS: Final[dict[type[ast.operator], Callable[[Any, Any], Any]]] = {
    ast.Add: operator.add, ast.Sub: operator.sub, ast.Mult: operator.mul, ast.Div: operator.truediv,
    ast.FloorDiv: operator.floordiv, ast.Mod: operator.mod,
}  # fmt: skip
COMPARISONS: Final[dict[type[ast.cmpop], Callable[[Any, Any], Any]]] = {
    ast.Eq: operator.eq, ast.NotEq: operator.ne, ast.Lt: operator.lt, ast.LtE: operator.le, ast.Gt: operator.gt,
    ast.GtE: operator.ge, ast.Is: operator.is_, ast.IsNot: operator.is_not,
    ast.In: lambda one, many: one in many, ast.NotIn: lambda one, many: one not in many,  # codespell:ignore notin
}  # fmt: skip


class Problem(NamedTuple):
    """What was not understood.

    Parameters
    ----------
    line
        Of the file, counted from 1; 0 for all of it.
    text
        What is there, and what became of it.
    """

    line: int
    text: str

    def __str__(self) -> str:
        """Return it as one line."""
        return f"line {self.line}: {self.text}" if self.line else self.text


@dataclass
class Values:
    """What a file says for one run.

    Parameters
    ----------
    names
        Values of the names outside of functions.
    returned
        What each function returns for the run.
    problems
        What was not understood.
    """

    names: dict[str, Any] = field(default_factory=dict)
    returned: dict[str, Any] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)


class _Unknown(Exception):
    """A value that cannot be told without running the file."""

    def __init__(self, node: ast.AST, what: str) -> None:
        super().__init__(what)
        self.problem = Problem(getattr(node, "lineno", 0), what)


class _Returned(Exception):
    """The end of a function."""

    def __init__(self, value: Any) -> None:
        super().__init__()
        self.value = value


def values_of(text: str, run: int) -> Values:
    r"""Walk a file.

    Parameters
    ----------
    text
        Of the file.
    run
        The number that its functions are asked about.

    Raises
    ------
    ValueError
        It is not Python, too long or nested too deeply.

    Examples
    --------
    >>> found = values_of("def getROIs(run):\n    if run > 5:\n        return {'a': [2 * 3]}\nx = open('y')", 7)
    >>> found.returned, str(found.problems[0])
    ({'getROIs': {'a': [6]}}, "line 4: open('y') is not data; 'x' is left out")
    """
    if len(text) > MAX_TEXT:
        msg = f"{len(text)} characters are too many for a configuration (limit {MAX_TEXT})"
        raise ValueError(msg)
    try:
        tree = ast.parse(text)
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        line = f"line {error.lineno}: " if isinstance(error, SyntaxError) and error.lineno else ""
        what = error.msg if isinstance(error, SyntaxError) else str(error) or type(error).__name__
        msg = f"{line}not a Python file that can be read: {what}"
        raise ValueError(msg) from None
    walker = _Walker(run)
    try:
        walker.module(tree)
    except RecursionError:
        msg = "not a configuration that can be read: it is nested too deeply"
        raise ValueError(msg) from None
    return walker.found


class _Walker:
    """Takes the statements of a file one by one."""

    def __init__(self, run: int) -> None:
        self.run = run
        self.found = Values()
        self.steps = 0

    def module(self, tree: ast.Module) -> None:
        functions = [node for node in tree.body if isinstance(node, ast.FunctionDef)]
        self.block([node for node in tree.body if not isinstance(node, ast.FunctionDef)], self.found.names)
        for function in functions:
            scope = {**self.found.names, **{argument.arg: self.run for argument in function.args.args[:1]}}
            try:
                self.block(function.body, scope)
            except _Returned as returned:
                self.found.returned[function.name] = returned.value
            except _Unknown as unknown:
                self.report(unknown, f"what {function.name} returns")

    def report(self, unknown: _Unknown, what: str) -> None:
        line, text = unknown.problem
        self.found.problems.append(Problem(line, f"{text}; {what} is left out"))

    def block(self, statements: Sequence[ast.stmt], scope: dict[str, Any]) -> None:
        for statement in statements:
            self.statement(statement, scope)

    def step(self) -> None:
        self.steps += 1
        if self.steps > MAX_STEPS:
            msg = f"not a configuration that can be read: more than {MAX_STEPS} steps"
            raise ValueError(msg)

    def statement(self, node: ast.stmt, scope: dict[str, Any]) -> None:
        self.step()
        match node:
            case ast.Assign(targets=targets, value=value):
                for target in targets:
                    self.assign(target, value, scope)
            case ast.AnnAssign(target=target, value=value) if value is not None:
                self.assign(target, value, scope)
            case ast.If(test=test, body=body, orelse=orelse):
                try:
                    chosen = body if self.value(test, scope) else orelse
                except _Unknown as unknown:
                    self.report(unknown, "the block that depends on it")
                    return
                self.block(chosen, scope)
            case ast.For(target=ast.Name(id=name), iter=many, body=body):
                try:
                    items = self.value(many, scope)
                except _Unknown as unknown:
                    self.report(unknown, "the loop over it")
                    return
                for item in items if isinstance(items, list | tuple | dict) else ():
                    scope[name] = item
                    self.block(body, scope)
            case ast.Return(value=value):
                raise _Returned(None if value is None else self.value(value, scope))
            case ast.Expr(value=ast.Call(func=ast.Attribute(value=of, attr="append"), args=[one])):
                self.append(of, one, scope)
            case ast.Expr(value=ast.Constant()) | ast.Pass() | ast.Import() | ast.ImportFrom() | ast.AnnAssign():
                pass
            case ast.Expr(value=ast.Call(func=ast.Name(id="print"))):
                pass
            case _:
                self.report(_Unknown(node, f"{_short(node)} is not data"), "it")

    def assign(self, target: ast.expr, value: ast.expr, scope: dict[str, Any]) -> None:
        try:
            found = self.value(value, scope)
        except _Unknown as unknown:
            if isinstance(target, ast.Name):
                scope.pop(target.id, None)
            self.report(unknown, f"{_short(target)!r}" if isinstance(target, ast.Name) else _short(target))
            return
        match target:
            case ast.Name(id=name):
                scope[name] = found
            case ast.Subscript(value=of, slice=key):
                try:
                    container, place = self.value(of, scope), self.value(key, scope)
                    container[place] = found
                except (_Unknown, TypeError, IndexError, KeyError):
                    self.report(_Unknown(target, f"{_short(target)} has no place that is known"), "its value")
            case _:
                self.report(_Unknown(target, f"{_short(target)} is not a name"), "its value")

    def append(self, of: ast.expr, one: ast.expr, scope: dict[str, Any]) -> None:
        try:
            many, value = self.value(of, scope), self.value(one, scope)
        except _Unknown as unknown:
            self.report(unknown, "the entry")
            return
        if isinstance(many, list):
            many.append(value)
        else:
            self.report(_Unknown(of, f"{_short(of)} is not a list"), "the entry")

    def value(self, node: ast.expr, scope: dict[str, Any]) -> Any:
        """Return the value of an expression, or raise that it is unknown."""
        self.step()
        match node:
            case ast.Constant(value=value) if value is None or isinstance(value, bool | int | float | str):
                return value
            case ast.Name(id=name) if name in scope:
                return scope[name]
            case ast.List(elts=elts) | ast.Tuple(elts=elts) | ast.Set(elts=elts):
                return [self.value(one, scope) for one in elts]
            case ast.Dict(keys=keys, values=values):
                return self.mapping(keys, values, scope)
            case ast.UnaryOp(op=ast.Not(), operand=operand):
                return not self.value(operand, scope)
            case ast.UnaryOp(op=ast.USub(), operand=operand):
                return -self.number(operand, scope)
            case ast.UnaryOp(op=ast.UAdd(), operand=operand):
                return self.number(operand, scope)
            case ast.BinOp(left=left, op=op, right=right) if type(op) in OPERATORS:
                return self.calculated(node, OPERATORS[type(op)], left, right, scope)
            case ast.BoolOp(op=op, values=values):
                found = (self.value(one, scope) for one in values)
                return all(found) if isinstance(op, ast.And) else any(found)
            case ast.Compare(left=left, ops=ops, comparators=comparators):
                return self.compared(node, left, ops, comparators, scope)
            case ast.Subscript(value=of, slice=key):
                try:
                    return self.value(of, scope)[self.value(key, scope)]
                except (TypeError, IndexError, KeyError):
                    raise _Unknown(node, f"{_short(node)} is not there") from None
            case ast.Call():
                return self.called(node, scope)
            case _:
                raise _Unknown(node, f"{_short(node)} is not data")

    def mapping(self, keys: Sequence[ast.expr | None], values: Sequence[ast.expr], scope: dict[str, Any]) -> Any:
        """Return a dictionary; entries that are not known are left out alone."""
        found = {}
        for key, value in zip(keys, values, strict=True):
            try:
                if key is None:
                    raise _Unknown(value, f"**{_short(value)} is not data")  # noqa: TRY301 - reported with the others
                name = self.value(key, scope)
                if not isinstance(name, str | int | float):
                    raise _Unknown(key, f"{_short(key)} is not a key")  # noqa: TRY301
                found[name] = self.value(value, scope)
            except _Unknown as unknown:
                self.report(unknown, "the entry" if key is None else f"the entry {_short(key)}")
        return found

    def number(self, node: ast.expr, scope: dict[str, Any]) -> Any:
        value = self.value(node, scope)
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise _Unknown(node, f"{_short(node)} is not a number")
        return value

    def calculated(
        self, node: ast.expr, how: Callable[[Any, Any], Any], left: ast.expr, right: ast.expr, scope: dict[str, Any]
    ) -> Any:
        one, other = self.number(left, scope), self.number(right, scope)
        try:
            found = how(one, other)
            fits = math.isfinite(found) and abs(found) <= LARGEST
        except (ArithmeticError, ValueError):
            raise _Unknown(node, f"{_short(node)} has no value") from None
        if not fits:
            raise _Unknown(node, f"{_short(node)} is too large")
        return found

    def compared(
        self,
        node: ast.expr,
        left: ast.expr,
        ops: Sequence[ast.cmpop],
        others: Sequence[ast.expr],
        scope: dict[str, Any],
    ) -> bool:
        one = self.value(left, scope)
        for op, other in zip(ops, others, strict=True):
            next_one = self.value(other, scope)
            try:
                if not COMPARISONS[type(op)](one, next_one):
                    return False
            except TypeError:
                raise _Unknown(node, f"{_short(node)} cannot be compared") from None
            one = next_one
        return True

    def called(self, node: ast.Call, scope: dict[str, Any]) -> Any:
        """Return what the few functions that configurations use would give."""
        name = ast.unparse(node.func) if len(ast.dump(node.func)) < 500 else ""
        if node.keywords and name != "dict":
            raise _Unknown(node, f"{_short(node)} is not data")
        match name.removeprefix("numpy.").removeprefix("np."), node.args:
            case "isinstance", [_, _]:  # whether the run is text; here it is a number
                return False
            case (("int" | "float" | "str"), [one]):
                try:
                    return {"int": int, "float": float, "str": str}[name](self.value(one, scope))
                except (TypeError, ValueError, OverflowError):
                    raise _Unknown(node, f"{_short(node)} has no value") from None
            case (("array" | "asarray" | "list" | "tuple"), [one]):
                found = self.value(one, scope)
                if isinstance(found, list | tuple):
                    return list(found)
            case "load", [one]:
                return self.value(one, scope)
            case "dict", []:
                return self.mapping(
                    [None if one.arg is None else ast.Constant(one.arg) for one in node.keywords],
                    [one.value for one in node.keywords], scope,
                )  # fmt: skip
        raise _Unknown(node, f"{_short(node)} is not data")


def _short(node: ast.AST) -> str:
    """Return the source of a node, at most 60 characters of it."""
    text = ast.unparse(node).splitlines()[0]
    return text if len(text) <= 60 else f"{text[:57]}..."
