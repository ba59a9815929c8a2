"""Short links: what the URL says becomes validated parameters, and what differs from the defaults becomes the URL."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar
from urllib.parse import urlencode

from detcore.core.parameters import InvalidParameters, Parameters

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from typing import Any

Model = TypeVar("Model", bound=Parameters)

SHELL = frozenset({"tab", "theme", "display", "tabs", "rotate"})
KEYS, KEY_LENGTH, VALUE_LENGTH = 64, 64, 2000  # more than that is not one of our links
ROTATE_S = (5.0, 3600.0)


@dataclass(frozen=True)
class Link:
    """What a URL asks for.

    Parameters
    ----------
    tab
        The tab to show first; "" means the first one.
    dark
        Whether the theme is dark.
    wall
        Whether it is a wall display.
    tabs
        Which tabs the wall shows, in order.
    rotate
        Seconds for each of them; 0 means that it stays.
    query
        The rest, for the tab.
    ignored
        What could not be used, in words.
    """

    tab: str = ""
    dark: bool = False
    wall: bool = False
    tabs: tuple[str, ...] = ()
    rotate: float = 0.0
    query: tuple[tuple[str, str], ...] = ()
    ignored: tuple[str, ...] = ()


def read(arguments: Mapping[str, Sequence[bytes]], known: Sequence[str]) -> Link:
    """Read the arguments of a request.

    Parameters
    ----------
    arguments
        As Bokeh gives them; the last value of a repeated key counts.
    known
        Names of the tabs that exist.
    """
    ignored: list[str] = []
    values: dict[str, str] = {}
    for key, found in list(arguments.items())[:KEYS]:
        if not found or len(key) > KEY_LENGTH or len(found[-1]) > VALUE_LENGTH:
            ignored.append(f"{key[:KEY_LENGTH]!r} in the link is empty or too long")
        else:
            values[key] = found[-1].decode(errors="replace")
    if len(arguments) > KEYS:
        ignored.append(f"the link has more than {KEYS} keys; the rest is ignored")

    def tab(name: str) -> bool:
        if name and name not in known:
            ignored.append(f"no tab {name!r}; there are {', '.join(known) or 'none'}")
        return name in known

    wall = values.get("display") == "wall"
    if "display" in values and not wall:
        ignored.append(f"display={values['display']!r} is unknown; expected wall")
    if values.get("theme", "dark") not in {"dark", "light"}:
        ignored.append(f"theme={values['theme']!r} is unknown; expected dark or light")
    first = values.get("tab", "")
    chosen = tuple(name for name in dict.fromkeys(values.get("tabs", "").split(",")) if tab(name))
    return Link(
        tab=first if tab(first) else "",
        dark=values.get("theme") == "dark",
        wall=wall,
        tabs=chosen,
        rotate=_seconds(values.get("rotate"), ignored),
        query=tuple((key, value) for key, value in values.items() if key not in SHELL),
        ignored=tuple(ignored),
    )


def _seconds(text: str | None, ignored: list[str]) -> float:
    if text is None:
        return 0.0
    try:
        seconds = float(text)
    except ValueError:
        seconds = -1.0
    if not ROTATE_S[0] <= seconds <= ROTATE_S[1]:
        ignored.append(f"rotate={text!r}: expected seconds from {ROTATE_S[0]:g} to {ROTATE_S[1]:g}")
        return 0.0
    return seconds


def write(link: Link, state: Mapping[str, str]) -> str:
    """Return the query string ("" or ``?…``) that reproduces a view.

    Parameters
    ----------
    link
        What the shell says: tab, theme, wall display, rotation.
    state
        What the tab says, defaults left out.
    """
    shell = {
        "tab": link.tab,
        "theme": "dark" if link.dark else "",
        "display": "wall" if link.wall else "",
        "tabs": ",".join(link.tabs),
        "rotate": f"{link.rotate:g}" if link.rotate else "",
    }
    pairs = {key: value for key, value in shell.items() if value} | dict(state)
    return f"?{urlencode(pairs, safe=':,/')}" if pairs else ""


def parse(model: type[Model], query: Mapping[str, str]) -> tuple[Model, tuple[str, ...]]:
    """Build parameters from text; what is unknown or wrong is left out and reported.

    Returns
    -------
    tuple
        The model, and one sentence for each key that was ignored.
    """
    good: dict[str, str] = {}
    ignored: list[str] = []
    for key, value in query.items():
        try:
            model.from_query(good | {key: value})
        except InvalidParameters as error:
            ignored.append(f"ignored in the link: {error}")
        else:
            good[key] = value
    return model.from_query(good), tuple(ignored)


def models(
    wanted: Sequence[type[Parameters]], query: Mapping[str, str], warn: Callable[[str], None]
) -> tuple[Any, ...]:
    """Build all parameters of a tab from its link; what cannot be used is told and the rest is kept.

    Parameters
    ----------
    wanted
        Models, with different names of fields.
    query
        What the link says.
    warn
        Called with sentences for the viewer.
    """
    if unknown := sorted(set(query) - {name for model in wanted for name in model.model_fields}):
        warn(f"the link says {', '.join(unknown)[:200]}, which this tab does not know")
    built = []
    for model in wanted:
        found, ignored = parse(model, {name: query[name] for name in model.model_fields if name in query})
        for words in ignored:
            warn(words)
        built.append(found)
    return tuple(built)
