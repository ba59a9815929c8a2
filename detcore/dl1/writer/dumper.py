"""CTA-ML files, layout of version 0.7.2: one array, a table of events, a table of images for each telescope type.

The original created its tables without an order of columns, so that PyTables sorted them by name; names, titles,
types and the empty first row of each table of images are as it wrote them. Two things are not left to chance: telescopes
stand by ascending number, and telescope types by name (the original had them in random order).
"""

from __future__ import annotations

import importlib.metadata
import logging
import threading
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import tables
from typing_extensions import override

from detcore.dl1.files import containers
from detcore.dl1.writer.basedumper import DL1DataDumper
from detcore.dl1.writer.ctamllayout import (
    ARRAY_COLUMNS,
    EVENT_COLUMNS,
    FORMAT_VERSION,
    IMAGES_PER_EVENT,
    INDEX_COLUMNS,
    check_type,
    dtype_of,
    event_columns,
    filters_of,
    image_columns,
    index_pairs,
    type_columns,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from types import TracebackType
    from typing import Self

    from numpy.typing import NDArray

logger = logging.getLogger(__name__)

LOCK: Final = threading.RLock()
"""PyTables is not made for several threads: whoever calls it holds this."""
BLOCK_BYTES: Final = 1 << 20  # rows that wait in memory before PyTables gets them


class CTAMLDataDumper(DL1DataDumper):
    """Writes CTA-ML files. A context manager; otherwise call `close`.

    Parameters
    ----------
    output_filename
        The file, which is replaced.
    filter_settings
        As for `tables.Filters`; default zlib at level 1, because PyTables as it is distributed writes no LZO. Empty:
        nothing is compressed.
    expected_tel_types, expected_tels, expected_events, expected_mc_events
        Rows, by which PyTables chooses the size of chunks.
    expected_images_per_event
        By type name ("LST:LSTCam"), for the same purpose; 1 for those that are not named.
    index_columns
        Pairs of table and column to be indexed; the table "tel" means every table of images.
    save_mc_events
        Make a table /MC_Events (of version 0.7.4).

    Raises
    ------
    ValueError
        Settings that do not exist, or that PyTables cannot follow.
    """

    def __init__(
        self,
        output_filename: str,
        filter_settings: Mapping[str, Any] | None = None,
        expected_tel_types: int = 10,
        expected_tels: int = 300,
        expected_events: int = 10000,
        expected_images_per_event: Mapping[str, float] | None = None,
        index_columns: Iterable[Sequence[str]] | None = None,
        expected_mc_events: int = 50000,
        save_mc_events: bool = False,
    ) -> None:
        super().__init__(str(output_filename))
        self.expected = {"types": expected_tel_types, "tels": expected_tels, "events": expected_events}
        self.expected_mc_events, self.save_mc_events = expected_mc_events, save_mc_events
        per_event = IMAGES_PER_EVENT if expected_images_per_event is None else expected_images_per_event
        self.expected_images_per_event = {str(name): float(rows) for name, rows in per_event.items()}
        self.index_columns = index_pairs(INDEX_COLUMNS if index_columns is None else index_columns)
        self.filters = filters_of({"complib": "zlib", "complevel": 1} if filter_settings is None else filter_settings)
        self.event_index = 0
        self._telescopes: dict[int, containers.Telescope] = {}
        self._rates: dict[int, float] = {}
        self._columns: dict[str, list[int]] = {}  # type -> tel_ids in the order of its column of indices
        self._next_row: dict[str, int] = {}
        self._waiting: dict[str, list[NDArray[Any]]] = {}
        self._bytes_waiting = self._bytes_unflushed = 0
        self._header: dict[str, Any] = {}
        self._inputs: list[str] = []
        self._warned: set[str] = set()
        with LOCK:
            self.file: Any = tables.open_file(self.output_filename, mode="w")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            self.close()
        else:
            self.abandon()

    def __del__(self) -> None:
        with suppress(Exception):  # scripts for the original never close
            self.close()

    @override
    def dump_header_info(self, input_filename: str) -> None:
        """Write the versions, and the name of an input.

        ``dl1_data_writer_version`` is the version of the layout; ctapipe's is "None" where it is not installed.
        """
        self._inputs.append(Path(input_filename).name)
        try:
            ctapipe = importlib.metadata.version("ctapipe")
        except importlib.metadata.PackageNotFoundError:
            ctapipe = "None"
        with LOCK:
            attributes = self.file.root._v_attrs  # noqa: SLF001 - PyTables' own public spelling
            attributes["dl1_data_writer_version"] = FORMAT_VERSION
            attributes["ctapipe_version"] = ctapipe
            attributes["runlist"] = list(self._inputs)

    @override
    def dump_mc_header_info(self, mcheader: Any) -> None:
        """Write the header of a simulation as attributes of the file.

        Of several inputs the first is kept, and the numbers of showers are added up.

        Raises
        ------
        ValueError
            A field is no number.
        """
        new = containers.header_of(mcheader)
        if self._header:
            for name, value in new.items():
                if name not in containers.CHANGING and not _same(value, self._header[name]):
                    logger.warning(
                        "%s: %s is %s in %s, but %s in the inputs before; the first is kept",
                        self.output_filename, name, value, self._inputs[-1:] or "an input", self._header[name],
                    )  # fmt: skip
            self._header["num_showers"] = self._header["num_showers"] + new["num_showers"]
        else:
            self._header = new
        with LOCK:
            attributes = self.file.root._v_attrs  # noqa: SLF001
            for name, value in self._header.items():
                attributes[name] = value

    @override
    def dump_instrument_info(self, inst: Any) -> None:
        """Write the tables of telescopes and of telescope types, and make those of events and images.

        Raises
        ------
        ValueError
            There are no telescopes, their names are too long, cameras of one type have different numbers of pixels, or
            the array is not that of the inputs before.
        """
        found = {one.tel_id: one for one in containers.telescopes_of(inst)}
        if self._telescopes:
            self._compare(found)
            return
        types: dict[str, list[containers.Telescope]] = {}
        for one in found.values():
            types.setdefault(self.convert_tel_name(one.name), []).append(one)
        for name, members in types.items():
            check_type(name, members)
        with LOCK:
            self._make_tables(found, dict(sorted(types.items())))
        self._telescopes = found
        self._rates = {tel_id: one.sampling_rate for tel_id, one in found.items()}

    def _make_tables(
        self, found: Mapping[int, containers.Telescope], types: Mapping[str, list[containers.Telescope]]
    ) -> None:
        title = "Table of array/subarray information"
        made = self._create("Array_Information", ARRAY_COLUMNS, title, self.expected["tels"])
        rows = [(one.tel_id, self.convert_tel_name(one.name).encode(), one.x, one.y, one.z) for one in found.values()]
        made.append(np.array(rows, made.dtype))
        width = max(len(one.pixel_x) for one in found.values())
        title = "Table of telescope type information"
        made = self._create("Telescope_Type_Information", type_columns(width), title, self.expected["types"])
        row = np.zeros(len(types), made.dtype)
        for i, (name, members) in enumerate(types.items()):
            first, n = members[0], len(members[0].pixel_x)
            row[i]["type"], row[i]["optics"], row[i]["camera"] = name, first.optics, first.camera
            row[i]["num_pixels"] = n
            row[i]["pixel_positions"][:n, 0], row[i]["pixel_positions"][:n, 1] = first.pixel_x, first.pixel_y
            self._columns[name] = [one.tel_id for one in members]
        made.append(row)
        columns = event_columns({name: len(members) for name, members in types.items()})
        self._create("Events", columns, "Table of Event Information", self.expected["events"])
        if self.save_mc_events:
            self._create("MC_Events", EVENT_COLUMNS, "Table of MC Event Information", self.expected_mc_events)
        for name, members in types.items():
            n, raw = len(members[0].pixel_x), members[0].name
            expected = self.expected["events"] * self.expected_images_per_event.get(raw, 1.0)
            made = self._create(name, image_columns(n), f"Table of {raw} images", int(expected))
            blank = np.zeros(1, made.dtype)
            blank["event_index"] = -1
            made.append(blank)
            self._next_row[name] = 1
        self.file.flush()

    def _create(self, name: str, columns: Mapping[str, Any], title: str, expected: int) -> Any:
        logger.info("%s: making table %s", self.output_filename, name)
        self._waiting[name] = []
        return self.file.create_table(
            "/",
            name,
            dtype_of(columns),
            title,
            filters=self.filters,
            expectedrows=max(int(expected), 1),
            byteorder="little",
        )

    def _compare(self, found: Mapping[int, containers.Telescope]) -> None:
        known = self._telescopes
        if set(found) != set(known):
            msg = (
                f"expected the telescopes of the inputs before, {sorted(known)}, found {sorted(found)}; write it alone"
            )
            raise ValueError(msg)
        for tel_id, one in found.items():
            old = known[tel_id]
            here, there = ((it.x, it.y, it.z) for it in (one, old))
            if one.name != old.name or len(one.pixel_x) != len(old.pixel_x) or not np.allclose(here, there, atol=0.01):
                msg = f"telescope {tel_id} is {one.name} at {here} m, but {old.name} at {there} m in the inputs before"
                raise ValueError(msg)

    @override
    def dump_event(self, event: Any) -> None:
        """Write an event and its images.

        Raises
        ------
        ValueError
            It does not fit: unknown telescope, wrong number of pixels, ids that are no 32-bit numbers. Nothing of it is
            written then.
        OSError
            The file cannot be written.
        """
        if not self._telescopes:
            msg = "dump_instrument_info comes before dump_event: the tables are made of what it is told"
            raise ValueError(msg)
        row = np.zeros(1, self._dtype("Events"))
        self._fill(row, event)
        images: list[tuple[str, NDArray[Any]]] = []
        taken: dict[str, int] = {}
        for tel_id, charge, peak in containers.images_of(event, self._rates):
            one = self._telescopes.get(tel_id)
            if one is None:
                msg = f"event {int(row['event_id'][0])}: telescope {tel_id} is not one of the array"
                raise ValueError(msg)
            n = len(one.pixel_x)
            if charge.shape != (n,) or peak.shape != (n,):
                msg = f"event {int(row['event_id'][0])}: telescope {tel_id} has {n} pixels, its image {charge.shape} and {peak.shape}"
                raise ValueError(msg)
            name = self.convert_tel_name(one.name)
            image = np.zeros(1, self._dtype(name))
            image["charge"], image["peakpos"], image["event_index"] = charge, peak, self.event_index
            row[f"{name}_indices"][0, self._columns[name].index(tel_id)] = self._next_row[name] + taken.get(name, 0)
            row[f"{name}_multiplicity"] += 1
            taken[name] = taken.get(name, 0) + 1
            images.append((name, image))
        for name, image in [*images, ("Events", row)]:
            self._put(name, image)
        for name, count in taken.items():
            self._next_row[name] += count
        self.event_index += 1

    @override
    def dump_mc_event(self, event: Any) -> None:
        """Write what was simulated of one event.

        Raises
        ------
        ValueError
            It does not fit, or ``save_mc_events`` is not set.
        """
        if "MC_Events" not in self._waiting:
            msg = f"{self.output_filename} has no table /MC_Events; set save_mc_events"
            raise ValueError(msg)
        row = np.zeros(1, self._dtype("MC_Events"))
        self._fill(row, event)
        self._put("MC_Events", row)

    def _fill(self, row: NDArray[Any], event: Any) -> None:
        shower = containers.shower_of(event)
        ids = containers.ids_of(event)
        for name, value in zip(("obs_id", "event_id"), ids, strict=True):
            if not 0 <= value < 1 << 32:
                msg = f"{name} {value} does not fit into the 32 bits that the format has for it"
                raise ValueError(msg)
            row[name] = value
        for name in shower._fields[:-1]:
            row[name] = getattr(shower, name)
        primary = shower.shower_primary_id
        if not 0 <= primary < 256 and str(primary) not in self._warned:
            self._warned.add(str(primary))
            logger.warning(
                "%s: shower_primary_id %d does not fit into the 8 bits that the format has for it; stored as %d, as "
                "the original does",
                self.output_filename, primary, primary % 256,
            )  # fmt: skip
        row["shower_primary_id"] = primary % 256

    def _dtype(self, name: str) -> np.dtype[Any]:
        with LOCK:
            return self.file.get_node("/", name).dtype  # type: ignore[no-any-return]

    def _put(self, name: str, row: NDArray[Any]) -> None:
        self._waiting[name].append(row)
        self._bytes_waiting += row.nbytes
        if self._bytes_waiting > BLOCK_BYTES:
            self._write_waiting()

    def _write_waiting(self) -> None:
        with LOCK:
            for name, rows in self._waiting.items():
                if rows:
                    self.file.get_node("/", name).append(np.concatenate(rows))
                    rows.clear()
        self._bytes_unflushed += self._bytes_waiting
        self._bytes_waiting = 0

    @override
    def size(self) -> int:
        """Return an upper limit of the size of the file, bytes: rows that wait count as if nothing compressed them."""
        return Path(self.output_filename).stat().st_size + self._bytes_waiting + self._bytes_unflushed

    def flush(self) -> int:
        """Write all that waits, and return the size of the file, bytes."""
        with LOCK:
            self._write_waiting()
            self.file.flush()
        self._bytes_unflushed = 0
        return self.size()

    @override
    def close(self) -> None:
        """Write all that waits, make the indexes, and close the file."""
        with LOCK:
            if not self.file.isopen:
                return
            try:
                self.flush()
                self._make_indexes()
            finally:
                self.file.close()

    def abandon(self) -> None:
        """Close a file that will not be used."""
        with LOCK:
            if self.file.isopen:
                self.file.close()

    def _make_indexes(self) -> None:
        for place, column in self.index_columns:
            for name in self._columns if place == "tel" else [place.strip("/")]:
                if name not in self._waiting:
                    logger.warning("%s: no table %s, so no index of %s", self.output_filename, name, column)
                    continue
                table = self.file.get_node("/", name)
                if column not in table.colpathnames or len(table.coldtypes[column].shape):
                    logger.warning("%s: table %s has no column %s to index", self.output_filename, name, column)
                    continue
                table.cols._f_col(column).create_index()  # noqa: SLF001 - PyTables' own public spelling


def _same(one: Any, other: Any) -> bool:
    if isinstance(one, str) or isinstance(other, str):
        return bool(one == other)
    return bool(np.shape(one) == np.shape(other) and np.allclose(one, other, rtol=1e-6, equal_nan=True))
