"""What an operator decides: data roots, cache, limits. A YAML file, with the environment on top of it."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ConfigDict, Field, PositiveFloat, PositiveInt, SecretStr, ValidationError

if TYPE_CHECKING:
    from collections.abc import Mapping

from detcore.core.parameters import mapping_from_yaml

_HERE = Path(__file__).parent


class InvalidSettings(ValueError):
    """The settings file or an environment variable cannot be used."""


class Settings(BaseModel):
    """Settings of one server.

    Parameters
    ----------
    roots
        Folders that viewers may read; none means that the demo is shown.
    cache
        Where demo files are written, readable by this user only.
    metrics_token
        With it, ``/metrics`` answers other hosts that send ``Authorization: Bearer TOKEN``.
    stale_s
        Age of live data, seconds, from which the page says that it is stale.
    linger_s
        Seconds for which a feed goes on working after its last viewer left.
    results
        How many results without viewers are kept in memory.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    roots: tuple[Path, ...] = ()
    cache: Path = Field(default_factory=lambda: default_cache(os.environ))
    metrics_token: SecretStr | None = None
    stale_s: PositiveFloat = 120.0
    linger_s: PositiveFloat = 20.0
    results: PositiveInt = 16

    @classmethod
    def load(cls, environ: Mapping[str, str] | None = None) -> Settings:
        """Read the settings file, then the environment.

        The file is ``DETCORE_SETTINGS``, else ``detcore/settings.yaml`` in the user's configuration folder if it is
        there; folders in it are relative to it. ``DETCORE_ROOTS`` (separated as in PATH), ``DETCORE_CACHE``,
        ``DETCORE_METRICS_TOKEN`` and ``DETCORE_STALE_S`` come first.

        Raises
        ------
        InvalidSettings
            Says which file or variable, what was found and what is expected.
        """
        env = os.environ if environ is None else environ
        named = env.get("DETCORE_SETTINGS")
        path = Path(named).expanduser() if named else _config_folder(env) / "detcore" / "settings.yaml"
        values = _read(path) if named or path.is_file() else {}
        if env.get("DETCORE_ROOTS"):
            values["roots"] = [part for part in env["DETCORE_ROOTS"].split(os.pathsep) if part]
        for key in ("cache", "metrics_token", "stale_s"):
            if env.get(f"DETCORE_{key.upper()}"):
                values[key] = env[f"DETCORE_{key.upper()}"]
        values.setdefault("cache", default_cache(env))
        try:
            settings = cls.model_validate(values)
        except ValidationError as error:
            lines = [f"{'.'.join(map(str, item['loc']))}: {item['msg']}" for item in error.errors()]
            msg = f"settings ({path} and DETCORE_* variables): {'; '.join(lines)}; known: {', '.join(cls.model_fields)}"
            raise InvalidSettings(msg) from None
        missing = [str(root) for root in settings.roots if not root.expanduser().is_dir()]
        if missing:
            msg = f"data root {', '.join(missing)}: no such folder; correct DETCORE_ROOTS, --root or {path}"
            raise InvalidSettings(msg)
        return settings


def _read(path: Path) -> dict[str, Any]:
    try:
        values = mapping_from_yaml(path.read_text())
    except (OSError, ValueError) as error:
        msg = f"settings file {path}: {error}"
        raise InvalidSettings(msg) from None
    roots = values.get("roots")
    if isinstance(roots, list):
        values["roots"] = [path.parent / Path(str(root)).expanduser() for root in roots]
    if "cache" in values:
        values["cache"] = path.parent / Path(str(values["cache"])).expanduser()
    return values


def _config_folder(env: Mapping[str, str]) -> Path:
    return Path(env.get("XDG_CONFIG_HOME") or Path.home() / ".config")


def default_cache(env: Mapping[str, str]) -> Path:
    """Return this user's cache folder for us (``XDG_CACHE_HOME`` is honoured)."""
    return Path(env.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "detcore"


def asset(name: str) -> Path:
    """Return a file of ``assets/``: beside the package in a checkout, inside it when installed from a wheel."""
    for folder in (_HERE / "assets", _HERE.parent / "assets"):
        if (folder / name).is_file():
            return folder / name
    msg = f"asset {name!r} is missing from the installation (looked in {_HERE}/assets and {_HERE.parent}/assets)"
    raise FileNotFoundError(msg)
