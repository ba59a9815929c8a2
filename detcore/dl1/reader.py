"""Examples for machine learning out of DL1 files of either format: the original's reader on top of `Dl1File`."""

from __future__ import annotations

import os
import random
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any, Final, TypeAlias

import numpy as np

from detcore.dl1.expression import evaluate
from detcore.dl1.files.eventcolumns import (
    Identifier,
    array_column,
    camera_of,
    channel,
    event_columns,
    hashable,
    image_rows,
    telescopes_by_type,
)
from detcore.dl1.files.model import Dl1File
from detcore.dl1.files.openfile import open as open_file
from detcore.dl1.images.mapper import ImageMapper
from detcore.dl1.transforms import DL1DataProcessor

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from typing import Self

    from numpy.typing import NDArray

    from detcore.dl1.images.geometry import Camera
    from detcore.dl1.transforms import Transform

MODES: Final = ("mono", "stereo", "multi-stereo")
UNMAPPED: Final = "indexed_conv"
FILTERED: Final = 256  # images at once that filters look at

Selection: TypeAlias = Mapping[Callable[..., Any], Mapping[str, Any]]


class DL1DataReader:
    """Reads examples: lists of arrays with an image (mono) or the images of an event (stereo) and what is asked for.

    A context manager, as files are held open. Examples are numbered; `examples` and `batch` read many at once, which
    is faster than one after the other.

    Parameters
    ----------
    file_list
        Paths, or files that are open.
    mode
        "mono": an example is an image (row, column, channel). "stereo": images of all telescopes of one type
        (telescope, row, column, channel) and which of them have one (trigger). "multi-stereo": the same of several types.
    selected_telescope_type
        Type, or types for multi-stereo; None: the first one of the file, or all.
    selected_telescope_ids
        Telescopes of each type; all of a type that is not named.
    selection_string
        Condition on events, see `evaluate`: with the columns of CTA-ML (mc_energy in TeV, alt and az in rad, core_x in m,
        LST_LSTCam_multiplicity, …) and those of `Dl1File.events`.
    event_selection
        Functions (reader, file, settings) -> rows of events, with the settings of each; all must select an event.
    image_selection
        Functions (reader, images, settings) -> bool, for mono mode.
    shuffle, seed
        Whether to bring the examples into random order; equal seeds give equal orders.
    image_channels
        charge, peakpos, or names of `Dl1File.rows`; charge if None.
    mapping_settings
        Of `ImageMapper`.
    array_info
        Columns of the telescopes to add: id, type, x, y, z.
    event_info
        Columns of the events to add, as in `selection_string`.
    transforms
        What is done to examples, in this order.
    validate_processor
        Compare examples with their description after each transform.
    mapping_method
        Of `ImageMapper`; "indexed_conv" leaves images unmapped: (pixel, channel).

    Attributes
    ----------
    example_identifiers
        The examples.
    example_description
        What an example consists of.
    telescopes, selected_telescopes
        Telescopes of each type: all, and those that are read.
    camera
        Of the images that a function of `image_selection` is given.

    Raises
    ------
    ValueError
        A mode, type, telescope, column or channel that is not there, a condition that is not understood, or files with
        different telescopes.
    OSError, UnknownFormat
        A file cannot be read.
    """

    camera: Camera

    def __init__(
        self,
        file_list: Iterable[str | os.PathLike[str] | Dl1File],
        mode: str = "mono",
        selected_telescope_type: str | Sequence[str] | None = None,
        selected_telescope_ids: Mapping[str, Sequence[int]] | None = None,
        selection_string: str | None = None,
        event_selection: Selection | None = None,
        image_selection: Selection | None = None,
        shuffle: bool = False,
        seed: int | None = None,
        image_channels: Sequence[str] | None = None,
        mapping_settings: Mapping[str, Any] | None = None,
        array_info: Sequence[str] | None = None,
        event_info: Sequence[str] | None = None,
        transforms: Sequence[Transform] | None = None,
        validate_processor: bool = False,
        *,
        mapping_method: Mapping[str, str] | str | None = None,
    ) -> None:
        if mode not in MODES:
            msg = f"unknown mode {mode!r}; there are {', '.join(MODES)}"
            raise ValueError(msg)
        if image_selection and mode != "mono":
            msg = f"image_selection chooses single images, which {mode} mode does not; use event_selection"
            raise ValueError(msg)
        self.mode = mode
        self.image_channels = list(image_channels or ["charge"])
        self.array_info, self.event_info = list(array_info or ()), list(event_info or ())
        self.files: dict[str, Dl1File] = {}
        self._own: list[Dl1File] = []
        self._events: dict[str, Mapping[str, NDArray[Any]]] = {}
        self._rows: dict[tuple[str, int], NDArray[np.int64]] = {}
        self.example_identifiers: list[Identifier] = []
        try:
            for one in file_list:
                self._open(one)
            self._choose(selected_telescope_type, selected_telescope_ids or {})
            for name in self.files:
                events = self._selected_events(name, selection_string, event_selection or {})
                self.example_identifiers += self._identified(name, events, image_selection or {})
            if shuffle:
                random.Random(seed).shuffle(self.example_identifiers)
            settings = {"mapping_method": mapping_method, **(mapping_settings or {})}
            self._describe(settings)
        except BaseException:
            self.close()
            raise
        self.processor = DL1DataProcessor(mode, self.unprocessed_example_description, transforms, validate_processor)
        self.example_description = self.processor.output_description

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __len__(self) -> int:
        return len(self.example_identifiers)

    def __getitem__(self, index: int) -> Any:
        """Return an example; what ends a loop over all of them is the IndexError after the last."""
        return self.examples([index])[0]

    def close(self) -> None:
        """Close the files that were opened here."""
        while self._own:
            self._own.pop().close()

    def _open(self, one: str | os.PathLike[str] | Dl1File) -> None:
        file = one if isinstance(one, Dl1File) else open_file(one)
        if file is not one:
            self._own.append(file)
        name = os.fspath(file.path)
        if name in self.files:
            msg = f"{name} is given twice"
            raise ValueError(msg)
        self.files[name] = file

    def _choose(self, wished: str | Sequence[str] | None, ids: Mapping[str, Sequence[int]]) -> None:
        """Find the telescopes."""
        self.telescopes = telescopes_by_type(self.files)
        if self.mode == "multi-stereo":
            types = list(self.telescopes) if wished is None else [wished] if isinstance(wished, str) else list(wished)
        elif wished is None or isinstance(wished, str):
            types = [wished or next(iter(self.telescopes))]
        else:
            msg = f"{self.mode} mode reads one telescope type, found {list(wished)}; for several use multi-stereo"
            raise ValueError(msg)
        if unknown := [one for one in [*types, *ids] if one not in self.telescopes]:
            msg = f"unknown telescope type {', '.join(unknown)}; there are {', '.join(self.telescopes)}"
            raise ValueError(msg)
        for tel_type, some in ids.items():
            if invalid := sorted(set(map(int, some)) - set(self.telescopes[tel_type])):
                msg = f"no telescopes {invalid} of type {tel_type}; there are {self.telescopes[tel_type]}"
                raise ValueError(msg)
        self.selected_types = types
        self.tel_type = types[0] if self.mode != "multi-stereo" else None
        self.selected_telescopes = {one: [int(i) for i in ids.get(one, self.telescopes[one])] for one in types}

    def image_rows(self, file: Dl1File, tel_id: int) -> NDArray[np.int64]:
        """Return which of a telescope's images each event of a file has: (event,), -1 for none."""
        key = (os.fspath(file.path), tel_id)
        if key not in self._rows:
            self._rows[key] = image_rows(file, tel_id)
        return self._rows[key]

    def _columns(self, name: str) -> Mapping[str, NDArray[Any]]:
        if name not in self._events:
            file = self.files[name]
            columns = event_columns(file.events)
            for tel_type, ids in self.telescopes.items():
                seen = [self.image_rows(file, tel_id) >= 0 for tel_id in ids]
                columns[f"{tel_type}_multiplicity"] = np.asarray(np.sum(seen, axis=0, dtype=np.int64))
            self._events[name] = columns
        return self._events[name]

    def _selected_events(self, name: str, condition: str | None, functions: Selection) -> NDArray[np.int64]:
        columns = self._columns(name)
        selected = np.any([columns[f"{one}_multiplicity"] > 0 for one in self.selected_types], axis=0)
        if condition:
            selected &= evaluate(condition, columns, len(selected))
        for function, settings in functions.items():
            found = function(self, self.files[name], **settings)
            rows = np.asarray(sorted(found) if isinstance(found, (set, frozenset)) else found)
            kept = np.zeros(len(selected), bool)
            kept[rows if rows.size else []] = True
            selected &= kept
        return np.flatnonzero(selected)

    def _identified(self, name: str, events: NDArray[np.int64], functions: Selection) -> Iterator[Identifier]:
        if self.mode != "mono":
            yield from (Identifier(name, row) for row in events.tolist())
            return
        for tel_id in self.selected_telescopes[self.selected_types[0]]:
            file = self.files[name]
            rows = self.image_rows(file, tel_id)[events]
            for start in range(0, len(rows), FILTERED):
                part, numbers = rows[start : start + FILTERED], events[start : start + FILTERED]
                keep = part >= 0
                if functions and keep.any():
                    self.camera = file.camera(tel_id)
                    images = file.rows(tel_id, indices=part[keep]).image.values
                    for function, settings in functions.items():
                        np.logical_and.at(keep, np.flatnonzero(part >= 0), function(self, images, **settings))
                for row, image in zip(numbers[keep].tolist(), part[keep].tolist(), strict=True):
                    yield Identifier(name, row, image, tel_id)

    def _describe(self, settings: Mapping[str, Any]) -> None:
        cameras: dict[str, Camera] = {}
        for tel_type, ids in self.selected_telescopes.items():
            for file in self.files.values():
                for camera in (camera_of(file, tel_id) for tel_id in ids):
                    known = cameras.setdefault(tel_type, camera)
                    if known.n_pixels != camera.n_pixels:
                        msg = f"{file.path}: a camera of {camera.n_pixels} pixels in {tel_type}, another has {known.n_pixels}"
                        raise ValueError(msg)
        methods = settings["mapping_method"]
        if not isinstance(methods, Mapping):
            methods = {camera.name: methods or "oversampling" for camera in cameras.values()}
        self._unmapped = {name for name, method in methods.items() if method == UNMAPPED}
        # unmapped images go with the index matrix of axial addressing
        methods = {name: "axial_addressing" if name in self._unmapped else method for name, method in methods.items()}
        settings = {**settings, "mapping_method": methods}
        self.image_mapper = ImageMapper(
            channels=len(self.image_channels), cameras={camera.name: camera for camera in cameras.values()}, **settings
        )
        self._shapes = {
            tel_type: (camera.n_pixels,) if camera.name in self._unmapped else self.image_mapper.mapping(camera).shape
            for tel_type, camera in cameras.items()
        }
        self.unprocessed_example_description: list[dict[str, Any]] = []
        file = next(iter(self.files.values()))
        for tel_type, ids in self.selected_telescopes.items():
            of_telescopes: dict[str, tuple[tuple[int, ...], Any]] = {
                "image": ((*self._shapes[tel_type], len(self.image_channels)), np.float32)
            }
            if self.mode != "mono":
                of_telescopes = {
                    "image": ((len(ids), *of_telescopes["image"][0]), np.float32),
                    "trigger": ((len(ids),), np.int8),
                }
            for column in self.array_info:
                length = 1 if self.mode == "mono" else len(ids)
                of_telescopes[column] = ((length,), array_column(file.telescopes, column, ids).dtype)
            for base_name, (shape, kind) in of_telescopes.items():
                name = f"{tel_type}_{base_name}" if self.mode == "multi-stereo" else base_name
                self._add(name, base_name, tel_type, shape, kind)
        columns = self._columns(next(iter(self.files)))
        for column in self.event_info:
            if column not in columns:
                msg = f"{file.path} has no column {column!r} of events; there are {', '.join(columns)}"
                raise ValueError(msg)
            self._add(column, column, None, (), columns[column].dtype)

    def _add(self, name: str, base_name: str, tel_type: str | None, shape: tuple[int, ...], kind: Any) -> None:
        self.unprocessed_example_description.append(
            {"name": name, "tel_type": tel_type, "base_name": base_name, "shape": shape, "dtype": np.dtype(kind)}
        )

    def examples(self, indices: Iterable[int]) -> list[Any]:
        """Return several examples, whose images are read and mapped together.

        Parameters
        ----------
        indices
            Numbers of examples.

        Raises
        ------
        IndexError
            There are not so many.
        """
        wished = [self.example_identifiers[index] for index in indices]
        parts: list[list[Any]] = [[] for _ in wished]
        for tel_type, ids in self.selected_telescopes.items():
            images, trigger = self._images(wished, tel_type, ids)
            for k, (one, example) in enumerate(zip(wished, parts, strict=True)):
                example.append(images[k, 0] if self.mode == "mono" else images[k])
                if self.mode != "mono":
                    example.append(trigger[k])
                table = self.files[one.filename].telescopes
                example += [
                    array_column(table, c, [one.tel_id] if self.mode == "mono" else ids) for c in self.array_info
                ]
        for one, example in zip(wished, parts, strict=True):
            columns = self._columns(one.filename)
            example += [np.array(columns[column][one.nrow]) for column in self.event_info]
        return [self.processor.process(example) for example in parts]

    def batch(self, indices: Iterable[int]) -> list[NDArray[Any]]:
        """Return several examples as one array for each part of an example, examples along the first axis."""
        return [np.stack(parts) for parts in zip(*self.examples(indices), strict=True)]

    def _images(
        self, wished: Sequence[Identifier], tel_type: str, ids: Sequence[int]
    ) -> tuple[NDArray[Any], NDArray[np.int8]]:
        """Return images (example, telescope, …), blank where there is none, and where there is one."""
        mono = self.mode == "mono"
        channels = len(self.image_channels)
        images = np.zeros((len(wished), 1 if mono else len(ids), *self._shapes[tel_type], channels), np.float32)
        trigger = np.zeros(images.shape[:2], np.int8)
        requests: dict[tuple[str, int], list[tuple[int, int, int]]] = {}
        for k, one in enumerate(wished):
            for slot, tel_id in enumerate([one.tel_id] if mono else ids):
                row = one.image_index if mono else int(self.image_rows(self.files[one.filename], tel_id)[one.nrow])
                if row >= 0:
                    requests.setdefault((one.filename, tel_id), []).append((k, slot, row))
        for (name, tel_id), found in requests.items():
            example, slot, row = np.array(found).T
            file = self.files[name]
            data = file.rows(tel_id, indices=row)
            pixels = np.stack([channel(data, name_of_channel) for name_of_channel in self.image_channels], axis=-1)
            camera = camera_of(file, tel_id)
            unmapped = camera.name in self._unmapped
            images[example, slot] = pixels if unmapped else self.image_mapper.map_images(pixels, camera)
            trigger[example, slot] = 1
        return images, trigger

    def num_examples(
        self, group_by: Iterable[str] | None = None, example_indices: Iterable[int] | None = None
    ) -> dict[tuple[Any, ...], int]:
        """Count examples.

        Parameters
        ----------
        group_by
            Names of parts of an example; examples in which these are equal are counted together.
        example_indices
            Which examples; None: all.

        Returns
        -------
        dict
            (value of each part) -> how many.

        Raises
        ------
        ValueError
            Examples have no part of that name.
        """
        indices = list(range(len(self)) if example_indices is None else example_indices)
        names = [one["name"] for one in self.example_description]
        if unknown := [name for name in group_by or () if name not in names]:
            msg = f"examples have no part {', '.join(unknown)}; there are {', '.join(names)}"
            raise ValueError(msg)
        wished = [names.index(name) for name in group_by or ()]
        counts: dict[tuple[Any, ...], int] = {}
        for start in range(0, len(indices), FILTERED):
            part = indices[start : start + FILTERED]
            for example in self.examples(part) if wished else [[]] * len(part):
                group = tuple(hashable(example[at].tolist()) for at in wished)
                counts[group] = counts.get(group, 0) + 1
        return counts
