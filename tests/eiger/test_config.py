"""The settings file of the scripts before, and what is wrong with one."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from detcore.core.parameters import InvalidParameters
from detcore.eiger.config import EXAMPLE, MAX_BYTES, Config

if TYPE_CHECKING:
    from pathlib import Path

# as published with the scripts before
OLD = """
in:
  master: /staff/eiger/data/speed_test_full_16M_master.h5
  start: 0                      #First frame to process
  end:   0                      #Last frame to process. Leave as 0 for all

filter:                         #Anything lower or higher than is masked out
  low:     0
  high: 4500

out:
  file: True                    #Write out results to file
  path: /tmp/                   #Needs trailing slash
  plot: True                    #Analyse and plot data
  redis: False                  #Post results to redis key
  prefix: summed_eiger_frames   #Redis key prefix
  expire: 1                     #redis key time-to-live in days

sys_settings:
  albula_path: /staff/eiger/dectris/albula/3.2/python/
  redis_ip: 10.108.24.9
  threads: 4
"""


def test_an_old_file_is_read_as_it_is() -> None:
    config = Config.from_yaml(OLD)
    assert config.input.master == "/staff/eiger/data/speed_test_full_16M_master.h5"
    assert config.input.frames is None
    assert (config.filter.low, config.filter.high) == (0, 4500)
    assert (config.out.file, config.out.path, config.out.plot, config.out.redis) == (True, "/tmp/", True, False)
    assert (config.out.prefix, config.out.expire) == ("summed_eiger_frames", 1)
    assert config.sys_settings.albula_path == "/staff/eiger/dectris/albula/3.2/python/"
    assert config.redis_address() == ("10.108.24.9", 6379)
    assert config.sys_settings.threads == 4


def test_the_example_is_valid_and_its_values_are_the_defaults() -> None:
    config = Config.from_yaml(EXAMPLE)
    bare = Config.from_yaml("in: {master: /data/series_1_master.h5}\nout:\nfilter:\n")
    assert bare.filter == config.filter
    assert bare.input == config.input
    assert bare.out.model_copy(update={"path": "/tmp/"}) == config.out
    assert bare.sys_settings.threads is None


@pytest.mark.parametrize(
    ("start", "end", "frames"),
    [(0, 0, None), (1, 0, None), (2, 0, (2, 0, 1)), (0, 9, (1, 9, 1)), (9, 9, (9, 9, 1)), (3, 10**9, (3, 10**9, 1))],
)
def test_frames_count_from_one_and_include_the_last(start: int, end: int, frames: object) -> None:
    assert Config.from_yaml(f"in: {{master: a, start: {start}, end: {end}}}").input.frames == frames


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (("start: 0 ", "start: 12"), None),
        (("start: 0 ", "start: -1"), "in.start: "),
        (("start: 0 ", "start: 1.5"), "in.start: "),
        (("start: 0 ", "start: [1]"), "in.start: "),
        (("end:   0", "end: four"), "in.end: .*'four'"),
        (("master: /staff/eiger/data/speed_test_full_16M_master.h5", "start_: 0"), "in.master: is missing"),
        (("master: /staff/eiger/data/speed_test_full_16M_master.h5", "master: ''"), "in.master: "),
        (("master: /staff/eiger/data/speed_test_full_16M_master.h5", 'master: "a\\nb"'), "in.master: .*line breaks"),
        (("master: /staff/eiger/data/speed_test_full_16M_master.h5", "master: [a, b]"), "in.master: "),
        (("low:     0", "low: 4501"), "filter.low: expected at most filter.high = 4500, found 4501"),
        (("low:     0", "low: -3"), "filter.low: "),
        (("high: 4500", "high: 4294967296"), "filter.high: "),
        (("high: 4500", "hihg: 4500"), r"unknown key 'filter.hihg' \(known: low, high\)"),
        (("file: True ", "file: maybe "), "out.file: .*'maybe'"),
        (("expire: 1 ", "expire: 0 "), "out.expire: "),
        (("expire: 1 ", "expire: .inf "), "out.expire: "),
        (("threads: 4", "threads: 0"), "sys_settings.threads: "),
        (("threads: 4", "threads: 100000"), "sys_settings.threads: "),
        (("sys_settings:", "system:"), "unknown key 'system'"),
        (("in:\n", "inn:\n"), "in: is missing"),
    ],
)
def test_impossible_values_name_their_key(change: tuple[str, str], words: str | None) -> None:
    text = OLD.replace(*change)
    assert text != OLD
    if words is None:
        assert Config.from_yaml(text).input.frames == (12, 0, 1)
        return
    with pytest.raises(InvalidParameters, match=words):
        Config.from_yaml(text)


def test_all_wrong_keys_are_named_at_once() -> None:
    text = OLD.replace("start: 0 ", "start: 20").replace("end:   0", "end: 10").replace("low:     0", "low: 9999")
    with pytest.raises(InvalidParameters, match=r"in.start: .*in.end = 10.*; filter.low: "):
        Config.from_yaml(text)
    with pytest.raises(InvalidParameters, match=r"in.end: .*; .*out.expire: "):
        Config.from_yaml(OLD.replace("end:   0", "end: x").replace("expire: 1 ", "expire: x "))


@pytest.mark.parametrize(
    "content", [b"\xff\xfe\x00", b"a: [", b"- 1", b"a: &a [*a]", b"#" * (MAX_BYTES + 1), b"", b"3"]
)
def test_other_files_are_refused_by_name(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "config.yaml"
    path.write_bytes(content)
    with pytest.raises(InvalidParameters) as caught:
        Config.read(path)
    assert str(caught.value).startswith(f"{path}: ")
    assert len(str(caught.value)) < 1000
    with pytest.raises(FileNotFoundError):
        Config.read(tmp_path / "absent.yaml")


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("host", ("host", 6379)),
        ("host:7000", ("host", 7000)),
        ("'::1'", ("::1", 6379)),
        ("'[::1]:7000'", ("::1", 7000)),
        ("host:x", None),
        ("host:99999", None),
    ],
)
def test_redis_address(text: str, address: tuple[str, int] | None) -> None:
    config = Config.from_yaml(f"in: {{master: a}}\nsys_settings: {{redis_ip: {text}}}")
    if address:
        assert config.redis_address() == address
    else:
        with pytest.raises(InvalidParameters, match=r"sys_settings\.redis_ip"):
            config.redis_address()
