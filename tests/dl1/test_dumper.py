"""The layout of written files against a file that DL1 Data Handler 0.7.2 wrote; what does not fit is refused whole."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import logging
import pickle
from pathlib import Path

import h5py
import numpy as np
import pytest
import tables

from detcore.dl1.writer.basedumper import DL1DataDumper
from detcore.dl1.writer.dumper import CTAMLDataDumper

_spec = importlib.util.spec_from_file_location("ctaml_events", Path(__file__).with_name("ctaml_events.py"))
made_up = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(made_up)


def described(path):
    """Return everything that HDF5 says of a file but the contents of tables: nodes, types, chunks, filters, attributes."""
    found = {}

    def look(name, item):
        facts = {key: (item.attrs.get_id(key).dtype, item.attrs.get_id(key).shape) for key in item.attrs}
        facts |= {
            key: item.attrs[key] for key in ("TITLE", "CLASS", "VERSION", "NROWS", "FILTERS") if key in item.attrs
        }
        if isinstance(item, h5py.Dataset):
            plan = item.id.get_create_plist()
            filters = [plan.get_filter(i)[:3:2] for i in range(plan.get_nfilters())]
            facts |= {"": (item.dtype, item.shape, item.maxshape, item.chunks, tuple(filters))}
        found[name] = facts

    with h5py.File(path) as file:
        look("/", file)
        file.visititems(look)
        found["attributes"] = {key: file.attrs[key] for key in file.attrs}
    return found


@pytest.fixture
def twin(shared, tmp_path):
    """A file by version 0.7.2, and ours of the same events."""
    theirs, ours = shared / "data/dl1/ctaml072_lasercal_zlib.h5", tmp_path / "ours.h5"
    header, instrument, events = made_up.old_source(theirs)
    with CTAMLDataDumper(str(ours)) as dumper:
        dumper.dump_header_info("somewhere/test_lasercal_v3.simtel.gz")
        dumper.dump_instrument_info(instrument)
        dumper.dump_mc_header_info(header)
        for event in events:
            dumper.dump_event(event)
    return theirs, ours


def test_layout_is_that_of_the_original(twin):
    theirs, ours = map(described, twin)
    assert list(theirs) == list(ours)
    version = ours["attributes"].pop("ctapipe_version")
    try:
        assert version.decode() == importlib.metadata.version("ctapipe")
    except importlib.metadata.PackageNotFoundError:
        assert version == b"None"
    assert theirs["attributes"].pop("ctapipe_version") == b"0.6.2"
    for one in (theirs["/"], ours["/"]):
        assert one.pop("ctapipe_version")
    for name, facts in theirs["attributes"].items():
        assert np.array_equal(facts, ours["attributes"][name]) or isinstance(facts, h5py.Empty), name
    for name in theirs:
        if name != "attributes":
            assert theirs[name] == ours[name], name


def test_contents_are_those_of_the_original(twin):
    theirs, ours = (made_up.as_numpy(path)[0] for path in twin)
    for name, table in theirs.items():
        assert table.tobytes() == ours[name].tobytes(), name


def test_pytables_finds_events_by_the_indexes(twin):
    with tables.open_file(twin[1]) as file:
        assert file.root.Events.cols.mc_energy.is_indexed
        assert file.root.Events.will_query_use_indexing("(mc_energy > 1) & (mc_energy < 2)")
        assert len(file.root.Events.read_where("(mc_energy > 1) & (mc_energy < 2) & (event_id == 101)")) == 1
        assert sorted(file.root.LST_LSTCam.get_where_list("event_index == 1")) == [5, 6, 7, 8]


@pytest.fixture
def made(tmp_path):
    """Make a file of made-up events; gives its tables."""

    def write(events, *, close=True, pixels=made_up.TYPES, **settings):
        path = tmp_path / "made.h5"
        dumper = CTAMLDataDumper(path, **settings)
        dumper.dump_header_info("a/one.simtel.gz")
        dumper.dump_instrument_info(made_up.subarray(pixels))
        dumper.dump_mc_header_info({"n_showers": 10, "max_alt": made_up.Quantity(90.0, "deg")})
        for event in events:
            dumper.dump_event(event)
        dumper.close()
        return made_up.as_numpy(path)

    return write


def test_events_of_today_are_written_in_the_units_of_the_format(made):
    events = [made_up.event(7, [5, 1, 30]), made_up.event(8, []), made_up.event(9, [2, 5])]
    content, attributes = made(events)
    assert list(content) == [
        "Array_Information",
        "Events",
        "LST_LSTCam",
        "MST_NectarCam",
        "Telescope_Type_Information",
        "X1_Own",
    ]
    rows = content["Events"]
    assert list(rows["event_id"]) == [7, 8, 9]
    assert rows["LST_LSTCam_indices"].tolist() == [[1, 2], [0, 0], [0, 3]]
    assert rows["MST_NectarCam_indices"].tolist() == [[0], [0], [1]]
    assert rows["LST_LSTCam_multiplicity"].tolist() == [2, 0, 1]
    assert np.allclose(rows["mc_energy"], [1.507, 1.508, 1.509])
    assert np.allclose(
        [rows[0][name] for name in ("alt", "az", "core_x", "core_y")], [np.radians(70), np.pi, 100, -200]
    )
    images = content["LST_LSTCam"]
    assert images["event_index"].tolist() == [-1, 0, 0, 2]
    assert not images[0]["charge"].any()
    assert not images[0]["peakpos"].any()
    for row, (which, tel_id) in enumerate([(0, 1), (0, 5), (2, 5)], 1):
        one = events[which].dl1.tel[tel_id]
        assert np.array_equal(images[row]["charge"], one.image)
        assert np.allclose(images[row]["peakpos"], one.peak_time * 2)  # 2 GHz
    array = content["Array_Information"]
    assert array["id"].tolist() == [1, 2, 5, 30]
    assert array["type"].tolist() == [b"LST_LSTCam", b"MST_NectarCam", b"LST_LSTCam", b"X1_Own"]
    assert np.allclose(array[2].tolist()[2:], [5, 10, 3])
    kinds = content["Telescope_Type_Information"]
    assert kinds["optics"].tolist() == [b"LST", b"MST", b"X-1"]
    assert kinds["num_pixels"].tolist() == [7, 5, 12]
    assert not kinds["pixel_positions"][1, 5:].any()
    assert np.allclose(kinds["pixel_positions"][2, :, 0], np.arange(12) * 0.05)
    assert attributes["num_showers"] == 10
    assert attributes["max_alt"] == pytest.approx(np.pi / 2)
    assert np.isnan(attributes["run_array_direction"]).all()
    assert attributes["prod_site_array"] == "None"


def test_thousands_of_rows_pass_the_buffer(made):
    events = [made_up.event(i, [1, 2, 5, 30]) for i in range(3000)]
    content, _ = made(events)
    assert content["Events"]["event_id"].tolist() == list(range(3000))
    assert content["Events"]["LST_LSTCam_indices"][-1].tolist() == [5999, 6000]
    assert np.array_equal(content["LST_LSTCam"]["charge"][6000], events[-1].dl1.tel[5].image)
    assert np.array_equal(content["LST_LSTCam"]["event_index"][1:], np.repeat(np.arange(3000), 2))


def test_only_the_first_of_several_gains_is_written(made):
    event = made_up.event(1, [1])
    event.dl1.tel[1].image = np.stack([np.arange(7.0), np.zeros(7)])
    event.dl1.tel[1].peak_time = None
    content, _ = made([event])
    assert content["LST_LSTCam"]["charge"][1].tolist() == list(range(7))
    assert not content["LST_LSTCam"]["peakpos"].any()


def test_several_inputs_add_up_and_differences_are_told(tmp_path, caplog):
    with CTAMLDataDumper(str(tmp_path / "a.h5")) as dumper:
        for number, name in enumerate(("x/a.simtel.gz", "y/b.simtel.gz")):
            dumper.dump_header_info(name)
            dumper.dump_instrument_info(made_up.subarray())
            dumper.dump_mc_header_info({"num_showers": 5, "spectral_index": -2.0 - number, "shower_prog_start": number})
    with h5py.File(tmp_path / "a.h5") as file:
        assert file.attrs["num_showers"] == 10
        assert file.attrs["spectral_index"] == -2
        assert pickle.loads(file.attrs["runlist"]) == ["a.simtel.gz", "b.simtel.gz"]
    assert "spectral_index is -3.0" in caplog.text
    assert "prog_start" not in caplog.text


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (lambda event: setattr(event.index, "event_id", 1 << 32), "32 bits"),
        (lambda event: setattr(event.index, "obs_id", -1), "obs_id -1"),
        (lambda event: setattr(event, "index", None), "without obs_id"),
        (lambda event: setattr(event.dl1.tel[5], "image", np.zeros(6)), "7 pixels"),
        (lambda event: event.dl1.tel.update({77: event.dl1.tel[5]}), "telescope 77"),
    ],
)
def test_an_event_that_does_not_fit_leaves_no_trace(change, why, tmp_path):
    with CTAMLDataDumper(str(tmp_path / "a.h5")) as dumper:
        dumper.dump_instrument_info(made_up.subarray())
        bad = made_up.event(2, [1, 5])
        change(bad)
        dumper.dump_event(made_up.event(1, [1, 5]))
        with pytest.raises(ValueError, match=why):
            dumper.dump_event(bad)
        dumper.dump_event(made_up.event(3, [5]))
    content, _ = made_up.as_numpy(tmp_path / "a.h5")
    assert content["Events"]["event_id"].tolist() == [1, 3]
    assert content["Events"]["LST_LSTCam_indices"].tolist() == [[1, 2], [0, 3]]
    assert content["LST_LSTCam"]["event_index"].tolist() == [-1, 0, 0, 1]


def test_a_heavy_primary_is_stored_as_the_original_does_and_told_once(made, caplog):
    content, _ = made([made_up.event(i, [1], primary=402) for i in range(3)])
    assert content["Events"]["shower_primary_id"].tolist() == [146] * 3
    assert caplog.text.count("shower_primary_id 402") == 1


@pytest.mark.parametrize(
    ("pixels", "why"),
    [
        ({}, "describes no telescopes"),
        ({1: ("LST", "LSTCam", 28.5, 7), 2: ("LST", "LSTCam", 28.5, 8)}, r"\[7, 8\] pixels"),
        ({1: ("A", "camera with a long name", 1.0, 7)}, "at most 20"),
        ({1: ("A", "b/c", 1.0, 7)}, "letters, digits"),
        ({70000: ("A", "B", 1.0, 7)}, "16 bits"),
    ],
)
def test_arrays_that_the_format_cannot_hold_are_refused(pixels, why, tmp_path):
    with CTAMLDataDumper(str(tmp_path / "a.h5")) as dumper, pytest.raises(ValueError, match=why):
        dumper.dump_instrument_info(made_up.subarray(pixels))


def test_another_array_is_refused(tmp_path):
    other = {**made_up.TYPES, 2: ("MST", "NectarCam", 16.0, 6)}
    with CTAMLDataDumper(str(tmp_path / "a.h5")) as dumper:
        dumper.dump_instrument_info(made_up.subarray())
        dumper.dump_instrument_info(made_up.subarray())
        with pytest.raises(ValueError, match="telescope 2"):
            dumper.dump_instrument_info(made_up.subarray(other))
        with pytest.raises(ValueError, match="found \\[1\\]"):
            dumper.dump_instrument_info(made_up.subarray({1: made_up.TYPES[1]}))


def test_settings_are_checked(tmp_path, caplog):
    with pytest.raises(ValueError, match="complib"):
        CTAMLDataDumper(str(tmp_path / "a.h5"), filter_settings={"complib": "rar"})
    with pytest.raises(ValueError, match="complevle"):
        CTAMLDataDumper(str(tmp_path / "a.h5"), filter_settings={"complevle": 1})
    with pytest.raises(ValueError, match="pairs of table and column"):
        CTAMLDataDumper(str(tmp_path / "a.h5"), index_columns=["/Events"])
    assert not (tmp_path / "a.h5").exists()
    if tables.which_lib_version("lzo") is None:
        CTAMLDataDumper(str(tmp_path / "a.h5"), filter_settings={"complib": "lzo", "complevel": 1}).close()
        assert "cannot write lzo" in caplog.text
    CTAMLDataDumper(str(tmp_path / "b.h5"), filter_settings={}).close()


@pytest.mark.parametrize("settings", [{}, {"complib": "blosc:zstd", "complevel": 5, "fletcher32": True}])
def test_other_filters_are_followed(settings, made, tmp_path):
    made([made_up.event(1, [1])], filter_settings=settings, index_columns=[])
    with tables.open_file(tmp_path / "made.h5") as file:
        assert file.root.Events.filters.complib == settings.get("complib")
        assert file.root.Events.filters.fletcher32 == settings.get("fletcher32", False)
        assert not file.root.Events.indexed
        assert file.root.LST_LSTCam[1]["event_index"] == 0


def test_an_index_that_cannot_be_made_is_told_and_the_file_is_good(made, caplog):
    columns = [("/Events", "obs_id"), ("/Nothing", "x"), ("/Events", "nothing"), ("tel", "charge")]
    content, _ = made([made_up.event(1, [1])], index_columns=columns)
    assert len(content["Events"]) == 1
    for words in ("no table Nothing", "no column nothing", "no column charge"):
        assert words in caplog.text


def test_simulated_events_without_trigger(made, tmp_path):
    with CTAMLDataDumper(str(tmp_path / "mc.h5"), save_mc_events=True) as dumper:
        dumper.dump_instrument_info(made_up.subarray())
        for i in range(4):
            dumper.dump_mc_event(made_up.event(i, []))
        dumper.dump_event(made_up.event(2, [1]))
    content, _ = made_up.as_numpy(tmp_path / "mc.h5")
    assert content["MC_Events"]["event_id"].tolist() == [0, 1, 2, 3]
    assert list(content["MC_Events"].dtype.names) == sorted(content["MC_Events"].dtype.names)
    assert len(content["Events"]) == 1
    with CTAMLDataDumper(str(tmp_path / "no.h5")) as dumper, pytest.raises(ValueError, match="save_mc_events"):
        dumper.dump_mc_event(made_up.event(1, []))


def test_size_is_never_below_that_of_the_file(tmp_path):
    dumper = CTAMLDataDumper(str(tmp_path / "a.h5"))
    dumper.dump_instrument_info(made_up.subarray())
    for i in range(500):
        dumper.dump_event(made_up.event(i, [1, 2, 5, 30]))
        assert dumper.size() >= (tmp_path / "a.h5").stat().st_size
    before = dumper.size()
    assert dumper.flush() == (tmp_path / "a.h5").stat().st_size < before
    dumper.close()
    dumper.close()


def test_the_names_of_types():
    assert DL1DataDumper.convert_tel_name("MST-SCT:SCTCam") == "MSTSCT_SCTCam"


def test_every_step_is_logged(made, caplog):
    with caplog.at_level(logging.INFO):
        made([])
    assert "making table LST_LSTCam" in caplog.text


def test_a_dumper_that_is_never_closed_completes_its_file_when_it_goes(tmp_path):
    dumper = CTAMLDataDumper(str(tmp_path / "a.h5"))
    dumper.dump_instrument_info(made_up.subarray())
    dumper.dump_event(made_up.event(1, [1, 5]))
    del dumper
    content, _ = made_up.as_numpy(tmp_path / "a.h5")
    assert len(content["Events"]) == 1
    assert len(content["LST_LSTCam"]) == 3
