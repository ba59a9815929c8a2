"""The settings file that older scripts read: the same keys, checked, with one message that names every wrong one."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final, Self

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from detcore.core.parameters import InvalidParameters, mapping_from_yaml

if TYPE_CHECKING:
    import os

MAX_BYTES: Final = 100_000  # of the file; the example has 700
DEFAULT_PORT: Final = 6379  # of Redis
MAX_DAYS: Final = 36_500  # of a key in Redis

EXAMPLE: Final = """\
in:
  master: /data/series_1_master.h5
  start: 0            # first frame, from 1; 0 for the first of the series
  end: 0              # last frame, included; 0 for the last of the series
filter:               # pixels with a value below low or above high do not count
  low: 0
  high: 4500
out:
  file: true          # write <path><master>.pickle and <path><master>.nc
  path: /tmp/
  plot: true          # write .csv, .statistics.csv and .html
  redis: false        # set the key <prefix>:<master>
  prefix: summed_eiger_frames
  expire: 1           # days
sys_settings:
  redis_ip: localhost
  threads: 4
"""


_ADDRESS = re.compile(r"(?:\[(?P<six>[^]]+)\]|(?P<host>[^:\[\]]+))(?::(?P<port>[0-9]{1,6}))?", re.ASCII)


def _empty(value: Any) -> Any:
    """Take ``out:`` without anything below it for a section of defaults."""
    return {} if value is None else value


def _one_line(value: str) -> str:
    if not value.isprintable():
        msg = "no line breaks or control characters"
        raise ValueError(msg)
    return value


Text = Annotated[str, Field(min_length=1, max_length=4096), AfterValidator(_one_line)]


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Input(_Section):
    """Which series, and which of its frames.

    Parameters
    ----------
    master
        The master file, or any file with frames.
    start, end
        First and last frame, both included, from 1; 0 is the first and the last of the series.
    """

    master: Text
    start: int = Field(0, ge=0)
    end: int = Field(0, ge=0)

    @property
    def frames(self) -> tuple[int, int, int] | None:
        """First, last (0: of the series) and step; None for all."""
        return (max(self.start, 1), self.end, 1) if self.start > 1 or self.end else None


class Filter(_Section):
    """Which pixel values count: low <= value <= high."""

    low: int = Field(0, ge=0, lt=2**32)
    high: int = Field(4500, ge=0, lt=2**32)


class Output(_Section):
    """Where the results go.

    Parameters
    ----------
    file, plot, redis
        Write the sums; the tables and the page; the key.
    path
        Folder, with or without a slash at its end.
    prefix
        Of the key, ``<prefix>:<master>``.
    expire
        Days after which Redis forgets the key.
    """

    file: bool = True
    path: Text = "."
    plot: bool = True
    redis: bool = False
    prefix: Text = "summed_eiger_frames"
    expire: float = Field(1.0, ge=0.001, le=MAX_DAYS, allow_inf_nan=False)


class System(_Section):
    """What the machine has.

    Parameters
    ----------
    albula_path
        Not used any more.
    redis_ip
        Host, or host:port.
    threads
        None: one for each core.
    """

    albula_path: str | None = None
    redis_ip: Text = "localhost"
    threads: int | None = Field(None, ge=1, le=256)


class Config(_Section):
    """The whole settings file.

    Examples
    --------
    >>> config = Config.from_yaml("in: {master: a_master.h5, start: 5}")
    >>> config.input.frames, config.filter.high, config.out.path
    ((5, 0, 1), 4500, '.')
    """

    input: Input = Field(alias="in")
    filter: Annotated[Filter, BeforeValidator(_empty)] = Filter()
    out: Annotated[Output, BeforeValidator(_empty)] = Output()
    sys_settings: Annotated[System, BeforeValidator(_empty)] = System()

    @classmethod
    def from_yaml(cls, text: str) -> Self:
        """Check the text of a settings file.

        Raises
        ------
        InvalidParameters
            Names each key that is unknown, missing or impossible.
        """
        try:
            config = cls.model_validate(mapping_from_yaml(text))
        except ValidationError as error:
            raise InvalidParameters("; ".join(_words(item) for item in error.errors())) from None
        start, end, low, high = config.input.start, config.input.end, config.filter.low, config.filter.high
        wrong = []
        if end and start > end:
            wrong.append(f"in.start: expected at most in.end = {end} (or in.end: 0 for the last frame), found {start}")
        if low > high:
            wrong.append(f"filter.low: expected at most filter.high = {high}, found {low}")
        if wrong:
            raise InvalidParameters("; ".join(wrong))
        return config

    @classmethod
    def read(cls, path: str | os.PathLike[str]) -> Self:
        """Read a settings file.

        Raises
        ------
        OSError
            It cannot be read.
        InvalidParameters
            As for `from_yaml`; begins with the name of the file.
        """
        place = Path(path)
        with place.open("rb") as file:
            raw = file.read(MAX_BYTES + 1)
        if len(raw) > MAX_BYTES:
            msg = f"{place}: expected a settings file of at most {MAX_BYTES:,} bytes, found more"
            raise InvalidParameters(msg)
        try:
            return cls.from_yaml(raw.decode("utf-8-sig"))
        except UnicodeDecodeError:
            msg = f"{place}: expected a settings file (YAML text), found bytes that are not text"
            raise InvalidParameters(msg) from None
        except InvalidParameters as error:
            msg = f"{place}: {error}"
            raise InvalidParameters(msg) from None

    def redis_address(self) -> tuple[str, int]:
        """Return host and port.

        Raises
        ------
        InvalidParameters
            The port is not a number.
        """
        text = self.sys_settings.redis_ip
        parts = _ADDRESS.fullmatch(text)
        if parts is None and text.count(":") > 1 and "[" not in text:  # an IPv6 address
            return text, DEFAULT_PORT
        if parts is None or not 0 < int(parts["port"] or DEFAULT_PORT) < 65536:
            msg = f"sys_settings.redis_ip: expected HOST or HOST:PORT, found {text!r:.80}"
            raise InvalidParameters(msg)
        return parts["six"] or parts["host"], int(parts["port"] or DEFAULT_PORT)


_KEYS: Final[dict[str, tuple[str, ...]]] = {
    "": ("in", "filter", "out", "sys_settings"),
    "in": tuple(Input.model_fields),
    "filter": tuple(Filter.model_fields),
    "out": tuple(Output.model_fields),
    "sys_settings": tuple(System.model_fields),
}


def _words(item: Any) -> str:
    """Say which key is wrong, what was expected and what was found."""
    path = [str(part) for part in item["loc"]]
    key = ".".join(path)[:200]
    if item["type"] == "extra_forbidden":
        known = _KEYS.get(path[0] if len(path) > 1 else "", ())
        return f"unknown key {key!r} (known: {', '.join(known)})"
    if item["type"] == "missing":
        return f"{key}: is missing" + ("; it names the master file" if path[-1] == "master" else "")
    return f"{key}: {item['msg']}, found {item['input']!r:.80}"
