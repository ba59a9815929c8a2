"""What a link to the area tab says: where the data and the setup are, what is averaged, and how it is drawn."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from detcore.core.parameters import Parameters

ENDINGS = (
    ".h5", ".hdf5", ".nxs", ".cxi", ".npy", ".npz", ".tif", ".tiff", ".edf", ".cbf", ".mccd", ".mar3450", ".spe", ".img",
)  # fmt: skip
SETUP_ENDINGS = (".yaml", ".yml")
PANELS = {
    "mask": "Mask",
    "rois": "ROIs",
    "profile": "Profile",
    "centre": "Centre",
    "common": "Common mode",
    "setup": "Set-up",
    "values": "Values",
}
KINDS = {"frame": "Frame", "mean": "Mean", "std": "Std", "median": "Median", "max": "Max", "hits": "Hits"}
Kind = Literal["frame", "mean", "std", "median", "max", "hits"]
UNITS = {"q": "q (1/Å)", "2theta": "2θ (deg)", "radius": "radius (px)"}
MOST_FRAMES = 100_000


class Place(Parameters):
    """Where the data is, relative to the data roots, and how it is read."""

    path: str = Field("", max_length=1500, description="Files or a folder, separated by |")
    live: bool = False
    dataset: str = Field("", max_length=300, description="Path of the frames in an HDF5 file; empty: found")
    detector: str = Field("", max_length=80, description="Type of the detector; empty: what the file says")
    orientation: int = Field(0, ge=0, le=8, description="How frames are turned, 1 to 8; 0: what the setup says")
    setup: str = Field("", max_length=600, description="Setup file, relative to the roots")
    edit: str = Field("", pattern=r"^([a-z0-9]{12})?$", description="Which unsaved edits go on")


class Cuts(Parameters):
    """What is averaged."""

    frames: int = Field(100, ge=0, le=MOST_FRAMES, description="How many frames are averaged; 0: all")
    calibrate: bool = Field(True, description="Whether pedestals, gains and common mode of the setup are used")
    above: float | None = Field(None, allow_inf_nan=False, description="A pixel above it is a hit")
    noise: bool = Field(False, description="Whether the limit of hits is in units of the noise of each pixel")


class Look(Parameters):
    """How the tab looks; every field is a key of its links."""

    image: Kind = "mean"
    frame: int = Field(0, ge=0, description="Which frame, from 0")
    scale: Literal["log", "linear"] = "log"
    lowest: float = Field(1.0, ge=0, le=100, description="Percentile of the first colour")
    highest: float = Field(99.7, ge=0, le=100, description="Percentile of the last colour")
    low: float | None = Field(None, allow_inf_nan=False, description="Value of the first colour instead")
    high: float | None = Field(None, allow_inf_nan=False, description="Value of the last colour instead")
    mask: bool = Field(True, description="Whether masked pixels are coloured")
    rings: bool = Field(False, description="Whether rings of the calibrant are drawn")
    calibrant: str = Field("CeO2", max_length=20)
    panel: Literal["mask", "rois", "profile", "centre", "common", "setup", "values"] = "mask"
    cake: bool = Field(False, description="Whether the cake is drawn instead of the profile")
    roi: str = Field("", max_length=80, description="Whose projections are drawn")
    value: str = Field("", max_length=120, description="Which per-event result is drawn")
    controls: bool = Field(False, description="Whether the column of exports is open")
