"""Every text form of a set of parameters leads back to it."""

from __future__ import annotations

from typing import Literal

import click
import pytest
import yaml
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st
from pydantic import Field, ValidationError

from detcore.core.parameters import InvalidParameters, Names, Parameters, Span, mapping_from_yaml, options
from detcore.occupancy import Filters


class Cut(Parameters):
    low: int = 0
    factor: float = Field(1.5, description="How much", gt=0)
    fast: bool = False
    safe: bool = True
    mode: Literal["hits", "events"] = "hits"
    note: str = ""
    names: Names = ()
    chosen: Names = ("a", "b")
    spills: Span = None
    window: Span = (3, 9)


whole = st.integers(-(10**6), 10**6)
spans = st.one_of(st.none(), st.tuples(whole, whole), st.tuples(whole, st.just(2**62)))
names = st.lists(
    st.text(st.characters(exclude_characters=",", exclude_categories=["Cs", "Cc", "Z"]), min_size=1), max_size=3
)
cuts = st.builds(
    Cut,
    low=st.integers(),
    factor=st.floats(min_value=0, exclude_min=True, allow_nan=False, allow_infinity=False),
    fast=st.booleans(),
    safe=st.booleans(),
    mode=st.sampled_from(["hits", "events"]),
    note=st.text(st.characters(exclude_categories=["Cs"])),
    names=names.map(tuple),
    chosen=names.map(tuple),
    spills=spans,
    window=spans,
)


@given(cut=cuts)
def test_query_yaml_and_arguments_lead_back(cut):
    query = cut.to_query()
    assert all(isinstance(text, str) for text in query.values())
    assert Cut.from_query(query) == cut
    assert Cut.from_yaml(cut.to_yaml()) == cut


@options(Cut)
def echo(parameters):
    seen.append(parameters)


seen: list[Cut] = []
command = click.command()(echo)


@given(cut=cuts.filter(lambda cut: "\0" not in cut.note))
def test_the_command_line_leads_back(cut):
    seen.clear()
    command.main(cut.to_arguments(), standalone_mode=False)
    assert seen == [cut]


def test_only_what_was_changed_is_written():
    assert Cut().to_query() == {}
    assert Cut().to_arguments() == []
    assert Cut.from_yaml(Cut().to_yaml()) == Cut()
    for note in ("next\x85line", "\u2028", "\ufeff", "ü: # ' \n\t"):
        assert Cut.from_yaml(Cut(note=note).to_yaml()).note == note
    cut = Cut(low=3, fast=True, safe=False, names="x, y", spills="5:")
    assert cut.to_query() == {"low": "3", "fast": "1", "safe": "0", "names": "x,y", "spills": "5:"}
    assert cut.to_arguments() == ["--low", "3", "--fast", "--no-safe", "--names", "x,y", "--spills", "5:"]


@pytest.mark.parametrize(
    ("text", "span"),
    [("5:7", (5, 7)), ("5", (5, 5)), (":7", (0, 7)), ("5:", (5, 2**62)), ("", None), (" ", None), ("-3:-1", (-3, -1))],
)
def test_spans(text, span):
    assert Cut(spills=text).spills == span


@pytest.mark.parametrize("text", ["a", "1:b", "1:2:3", "1.5", "1-2"])
def test_what_is_not_a_span_says_how_to_write_one(text):
    with pytest.raises(InvalidParameters, match="FIRST:LAST"):
        Cut.from_query({"spills": text})


def test_unknown_keys_are_refused_by_every_door():
    for door in (
        lambda: Cut.from_query({"lwo": "3"}),
        lambda: Cut.from_yaml("lwo: 3"),
        lambda: Cut.checked({"lwo": 3}),
    ):
        with pytest.raises(InvalidParameters, match=r"unknown key 'lwo' \(known: low, factor"):
            door()


def test_every_wrong_field_is_named_with_what_was_found():
    with pytest.raises(InvalidParameters) as caught:
        Cut.from_query({"low": "many", "factor": "-1", "mode": "tracks"})
    words = str(caught.value)
    for part in ("low", "'many'", "factor", "greater than 0", "mode", "'tracks'", "'hits' or 'events'"):
        assert part in words


@pytest.mark.parametrize("text", ["[1, 2", "- 1\n- 2", "just words", "a: b: c", "!!python/object/apply:os.system [id]"])
def test_what_is_not_a_yaml_mapping_is_refused(text):
    with pytest.raises(InvalidParameters):
        Cut.from_yaml(text)
    assert Cut.from_yaml("") == Cut()


def test_the_yaml_is_plain():
    assert yaml.safe_load(Cut(names=("a", "ü"), spills=(1, 2)).to_yaml()) == {"names": ["a", "ü"], "spills": [1, 2]}


def test_frozen_and_hashable():
    with pytest.raises(ValidationError):
        Cut().low = 3
    assert len({Cut(), Cut(low=0), Cut(low=1)}) == 2


def test_the_command_explains_itself_and_its_errors():
    runner = CliRunner()
    text = runner.invoke(command, ["--help"]).output
    for part in ("--low", "--fast / --no-fast", "FIRST:LAST", "[hits|events]", "How much"):
        assert part in text
    wrong = runner.invoke(command, ["--factor", "-2"])
    assert wrong.exit_code == 2
    assert "factor" in wrong.output
    assert runner.invoke(command, ["--mode", "tracks"]).exit_code == 2
    assert runner.invoke(command, ["--lwo", "3"]).exit_code == 2


filters = st.builds(
    Filters,
    in_time=st.booleans(),
    triggers=st.lists(st.sampled_from(["MATRIX1", "NIM5"]), unique=True).map(tuple),
    spills=spans,
    events=spans,
    planes=st.lists(st.sampled_from(["D0X", "H4T", "70"]), unique=True).map(tuple),
    elements=spans,
)


@given(cut=filters)
def test_the_filters_of_occupancy_lead_back(cut):
    assert Filters.from_query(cut.to_query()) == cut
    assert Filters.from_yaml(cut.to_yaml()) == cut


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("a: &x [1]\nb: [*x, *x]", "neither use references"),
        ("[" * 200_000, "nested too deeply"),
        ("!!python/object/apply:os.getcwd []", "not readable as YAML"),
        ("- 1", "found list"),
    ],
)
def test_yaml_that_could_do_harm_is_refused(text: str, words: str) -> None:
    with pytest.raises(InvalidParameters, match=words):
        mapping_from_yaml(text)
