"""Links: short, validated, and the same view again."""

from __future__ import annotations

from urllib.parse import parse_qs

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dashboard.urlstate import Link, models, parse, read, write
from detcore.core.parameters import Names, Parameters, Span

TABS = ("occupancy", "showers")


class View(Parameters):
    scale: str = "log"
    planes: Names = ()
    spills: Span = None
    low: int = 0


def arguments(query: str) -> dict[str, list[bytes]]:
    return {key: [value.encode() for value in values] for key, values in parse_qs(query.lstrip("?")).items()}


views = st.builds(
    View,
    scale=st.text(min_size=1, max_size=20).filter(str.strip),
    planes=st.lists(st.text("ABCxyz012", min_size=1), max_size=4).map(tuple),
    spills=st.none() | st.tuples(st.integers(1, 9), st.integers(1, 99)),
    low=st.integers(),
)


@given(view=views, tab=st.sampled_from(["", *TABS]), dark=st.booleans())
def test_round_trip(view: View, tab: str, dark: bool) -> None:
    query = write(Link(tab=tab, dark=dark), view.to_query())
    link = read(arguments(query), TABS)
    assert (link.tab, link.dark, link.ignored) == (tab, dark, ())
    assert parse(View, dict(link.query)) == (view, ())


def test_defaults_make_no_query() -> None:
    assert write(Link(), View().to_query()) == ""
    assert write(Link(wall=True, tabs=TABS, rotate=30), {}) == "?display=wall&tabs=occupancy,showers&rotate=30"


@pytest.mark.parametrize(
    ("query", "says"),
    [
        ("?tab=<b>", "no tab '<b>'; there are occupancy, showers"),
        ("?tabs=occupancy,gone", "no tab 'gone'"),
        ("?display=cinema", "display='cinema' is unknown; expected wall"),
        ("?theme=pink", "theme='pink' is unknown"),
        ("?rotate=nan", "rotate='nan': expected seconds from 5 to 3600"),
        ("?rotate=1", "rotate='1'"),
        ("?x=" + "y" * 3000, "'x' in the link is empty or too long"),
        ("?" + "&".join(f"k{n}=1" for n in range(70)), "more than 64 keys"),
    ],
)
def test_what_cannot_be_used_is_ignored_and_said(query: str, says: str) -> None:
    link = read(arguments(query), TABS)
    assert any(says in line for line in link.ignored)
    assert (link.tab, link.wall, link.rotate) == ("", False, 0)


def test_wrong_keys_do_not_spoil_the_good_ones() -> None:
    view, ignored = parse(View, {"low": "3", "nonsense": "1", "spills": "a:b", "scale": "linear"})
    assert view == View(low=3, scale="linear")
    assert len(ignored) == 2
    assert "unknown key 'nonsense'" in ignored[0]
    assert "spills" in ignored[1]


def test_all_parameters_of_a_tab_keep_what_is_right() -> None:
    class Other(Parameters):
        high: float = 1.0

    said: list[str] = []
    found = models((View, Other), {"low": "3", "spills": "a:b", "high": "2.5", "<b>": "1"}, said.append)
    assert found == (View(low=3), Other(high=2.5))
    assert len(said) == 2
    assert "<b>" in said[0]
    assert "spills" in said[1]


def test_bytes_that_are_not_text_do_no_harm() -> None:
    assert read({"a": [b"\xff"], "b": []}, TABS).query == (("a", "\ufffd"),)
