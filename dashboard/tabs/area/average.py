"""The images of the area tab: what is asked of the feed, and what is drawn of its averages or of one frame."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from dashboard.feeds import FeedRequest
from dashboard.tabs.area.look import KINDS
from dashboard.tabs.area.science import Picture
from detcore import area

if TYPE_CHECKING:
    import xarray as xr

    from dashboard.tabs.area.look import Cuts, Look
    from dashboard.tabs.area.science import Facts
    from dashboard.tabs.area.work import Work


def feed_request(
    name: str, paths: tuple[str, ...], live: bool, cuts: Cuts, setup: area.Setup, options: tuple[tuple[str, Any], ...]
) -> FeedRequest:
    """Return what the feed averages."""
    return FeedRequest(name, paths, live, area.average_parameters(cuts, setup), options)


def picture_of(
    work: Work, facts: Facts, data: xr.Dataset | None, look: Look, cuts: Cuts, setup: area.Setup
) -> Picture | None:
    """Return the image that is wished; None while it is made.

    Raises
    ------
    OSError, ValueError
        It cannot be made.
    """
    detector = facts.detector
    if look.image != "frame":
        if data is None or look.image not in data:
            return None
        count = int(data["n"].max()) if "n" in data else 0
        title = f"{KINDS[look.image].lower()} of {count:,} frames"
        values = data[look.image].values
        return work.draw((id(data), look.image), lambda: Picture.of(values, detector, title, "ADU"))
    number = min(look.frame, max(facts.n_frames - 1, 0))

    def read() -> Picture:
        frame = facts.source.frame(number)
        if not cuts.calibrate:
            return Picture.of(frame, detector, f"frame {number:,}, raw", "ADU", saturated=detector.saturation)
        return Picture.of(area.calibrated(frame, detector, setup), detector, f"frame {number:,}, calibrated", "ADU")

    return work.draw((facts.key, number, cuts.calibrate, setup.common_mode, setup.calibration), read)
