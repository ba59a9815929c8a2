"""What every writer of DL1 files has, whatever its format; people derive their own from it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from pathlib import Path
from typing import Any


class DL1DataDumper(ABC):
    """What writes one output file.

    A subclass takes the name of the file and its own settings, and has the four methods. The writer calls `close` when
    the file is complete.

    Parameters
    ----------
    output_filename
        The file, which is replaced.

    Attributes
    ----------
    output_filename
        The file.
    """

    def __init__(self, output_filename: str) -> None:
        self.output_filename = output_filename

    @abstractmethod
    def dump_instrument_info(self, inst: Any) -> None:
        """Write the array and its telescope types; called for every input."""

    @abstractmethod
    def dump_mc_header_info(self, mcheader: Any) -> None:
        """Write the header of the simulation; called for every input."""

    @abstractmethod
    def dump_header_info(self, input_filename: str) -> None:
        """Write what is not from the event source; called for every input."""

    @abstractmethod
    def dump_event(self, event: Any) -> None:
        """Write one calibrated event."""

    def dump_mc_event(self, event: Any) -> None:
        """Write what was simulated of one event, triggered or not; only where ``save_mc_events`` is asked for."""
        msg = f"{type(self).__name__} does not keep events without trigger; leave save_mc_events out"
        raise NotImplementedError(msg)

    def size(self) -> int:
        """Return the size of the file, bytes."""
        path = Path(self.output_filename)
        return path.stat().st_size if path.exists() else 0

    def close(self) -> None:  # noqa: B027 - dumpers of old have none
        """Complete the file."""

    @staticmethod
    def convert_tel_name(tel_name: str) -> str:
        """Return the name that a telescope type has in a file.

        Examples
        --------
        >>> DL1DataDumper.convert_tel_name("SST-GCT:CHEC")
        'SSTGCT_CHEC'
        """
        return tel_name.replace(":", "_").replace("-", "")
