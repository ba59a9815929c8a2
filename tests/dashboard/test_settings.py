"""Settings: a file, the environment on top, and messages that say what to do."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from dashboard.settings import InvalidSettings, Settings, asset, default_cache

if TYPE_CHECKING:
    from pathlib import Path


def load(tmp_path: Path, **env: str) -> Settings:
    return Settings.load({"XDG_CONFIG_HOME": str(tmp_path / "config"), "XDG_CACHE_HOME": str(tmp_path / "cache")} | env)


def test_nothing_configured_means_the_demo(tmp_path: Path) -> None:
    settings = load(tmp_path)
    assert settings.roots == ()
    assert settings.cache == tmp_path / "cache" / "detcore"


def test_cache_without_xdg_is_in_the_home() -> None:
    assert default_cache({}).parts[-2:] == (".cache", "detcore")


def test_file_then_environment(tmp_path: Path) -> None:
    for name in ("a", "b", "c"):
        (tmp_path / name).mkdir()
    path = tmp_path / "config" / "detcore" / "settings.yaml"
    path.parent.mkdir(parents=True)
    path.write_text(f"roots: [{tmp_path}/a]\nstale_s: 7\ncache: here\n")
    settings = load(tmp_path)
    assert settings.roots == (tmp_path / "a",)
    assert settings.stale_s == 7
    assert settings.cache == path.parent / "here"
    settings = load(
        tmp_path,
        DETCORE_ROOTS=os.pathsep.join([f"{tmp_path}/b", f"{tmp_path}/c"]),
        DETCORE_CACHE=str(tmp_path / "other"),
        DETCORE_METRICS_TOKEN="sesame",
        DETCORE_STALE_S="9",
    )
    assert settings.roots == (tmp_path / "b", tmp_path / "c")
    assert (settings.cache, settings.stale_s) == (tmp_path / "other", 9)
    assert settings.metrics_token is not None
    assert settings.metrics_token.get_secret_value() == "sesame"
    assert "sesame" not in repr(settings)


def test_folders_in_a_named_file_are_relative_to_it(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "s.yaml").write_text("roots: [data]\n")
    assert load(tmp_path, DETCORE_SETTINGS=str(tmp_path / "s.yaml")).roots == (tmp_path / "data",)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("rootz: [a]", "rootz: Extra inputs are not permitted"),
        ("stale_s: -1", "stale_s: Input should be greater than 0"),
        ("- a", "expected 'name: value' lines, found list"),
        ("a: [", "settings.yaml"),
        ("roots: [gone]", "no such folder"),
    ],
)
def test_a_wrong_file_is_named(tmp_path: Path, text: str, says: str) -> None:
    (tmp_path / "settings.yaml").write_text(text)
    with pytest.raises(InvalidSettings) as error:
        load(tmp_path, DETCORE_SETTINGS=str(tmp_path / "settings.yaml"))
    assert says in str(error.value)
    assert str(tmp_path) in str(error.value)


def test_a_named_file_must_exist(tmp_path: Path) -> None:
    with pytest.raises(InvalidSettings, match="No such file"):
        load(tmp_path, DETCORE_SETTINGS=str(tmp_path / "none.yaml"))


def test_assets_are_found_or_named() -> None:
    assert asset("logo.svg").read_text().startswith("<svg")
    with pytest.raises(FileNotFoundError, match=r"nothing\.css"):
        asset("nothing.css")
