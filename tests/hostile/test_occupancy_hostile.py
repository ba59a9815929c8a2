"""Whatever lies among the spills: the sound ones are counted exactly, and the ledger says what was wrong."""

from __future__ import annotations

import os
import shutil
import tempfile
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

from detcore.core.handles import close_all
from detcore.core.reduction import Together
from detcore.core.run import EmptyInput, Inline, Threads, problems_of, run, stream
from detcore.occupancy import open_files, reduce, reduction
from detcore.occupancy.series import HitsByFile

NAMES = [
    *("random_bytes", "text", "no_bytes_at_all", "zero_bytes", "an_HDF5_signature", "the_word_root_alone"),
    *("cut_1", "cut_20", "cut_50", "cut_90", "cut_99", "corrupt_basket", "lost_basket", "unequal_entries"),
    *(
        "no_tree",
        "no_keys",
        "histogram",
        "rntuple",
        "missing_branch",
        "unlike_type",
        "unequal_counts",
        "unequal_totals",
    ),
    *("impossible_ids", "no_events", "no_hits", "hostile_name"),
    *("directory", "dangling", "loop", "locked", "closed"),
]
# what the line of the ledger must say: what was expected, and what was found
WORDS = {
    "random_bytes": ("expected it to begin with b'root'", "found b'"),
    "text": ("expected it to begin with b'root'", "found b'detector'"),
    "no_bytes_at_all": ("expected it to begin with b'root'", "found an empty file"),
    "zero_bytes": ("expected it to begin with b'root'", r"found b'\x00"),
    "an_HDF5_signature": ("expected it to begin with b'root'", "HDF"),
    "the_word_root_alone": ("not a ROOT file", "found b'root'"),
    **{f"cut_{percent}": ("expected ", " bytes, found ", "copy it again") for percent in (1, 20, 50, 90, 99)},
    "corrupt_basket": ("fAllHits.detectorID, basket 1 at byte", "is damaged"),
    "lost_basket": ("fAllHits.elementID, basket 2 at byte", "is damaged"),
    "unequal_entries": ("unequal length", "fAllHits.elementID ends at entry 30, expected 40"),
    "no_tree": ("no tree named 'save' or 'tree'", "found events (TTree)"),
    "no_keys": ("no tree named 'save' or 'tree'", "found nothing"),
    "histogram": ("no tree named 'save' or 'tree'", "found save (TH1D)"),
    "rntuple": ("no tree named 'save' or 'tree'", "found save (ROOT::RNTuple)", "not RNTuple"),
    "missing_branch": ("lacks the branch fAllHits.elementID or elementID", "its branches: fAllHits.detectorID"),
    "unlike_type": ("detector_id holds float64", "expected whole numbers"),
    "unequal_counts": ("unequal length: event 0 has 2 detector ids and 1 of fAllHits.elementID",),
    "unequal_totals": ("unequal length: event 2 has 2 detector ids and 1 of fAllHits.elementID",),
    "directory": ("expected .root files in this folder, found none",),
    "dangling": ("No such file or directory",),
    "loop": ("Too many levels of symbolic links",),
}
SECONDS = 60  # nothing here takes more than one: a longer time is a hang


def counted(source, executor=None):
    """Reduce everything there is, and by file; a hang is a failure, not a hang of the tests."""

    def work():
        return run(
            source, lambda schema: Together(reductions=(reduction(None, schema), HitsByFile())), executor=executor
        )

    pool = ThreadPoolExecutor(1)
    try:
        return pool.submit(work).result(SECONDS)
    finally:
        pool.shutdown(wait=False)


def hits_of(data, path):
    """The map of one file, (63, 202)."""
    out = np.zeros((128, 512), np.int64)
    files = [str(name) for name in data["file_hits_file"].values]
    if str(path) in files:
        mine = data["file_hits_index"].values == files.index(str(path))
        out[data["file_hits_detector"].values[mine], data["file_hits_element"].values[mine]] = data["file_hits"].values[
            mine
        ]
    return out[:63, :202]


@pytest.fixture
def sound(hostile, tmp_path):
    return hostile.sound_spill(tmp_path / "the_sound_one.root")


def test_every_hostile_input_is_tested(hostile_files):
    assert set(NAMES) == set(hostile_files)
    unsound = {name for name, broken in hostile_files.items() if not broken.sound}
    assert unsound - set(WORDS) == {"locked", "closed"}  # below, as a user who may not read them


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("first", ["broken", "sound"])
def test_the_others_go_on(hostile_files, sound, name, first):
    broken = hostile_files[name]
    paths = [broken.path, sound.path] if first == "broken" else [sound.path, broken.path]
    data = counted(open_files(paths))
    assert data.attrs["status"] == "complete"
    np.testing.assert_array_equal(hits_of(data, sound.path), sound.counts)
    theirs = int(data["hits"].sum()) - int(sound.counts.sum())
    assert 0 <= theirs <= 400 if broken.hits is None else theirs == broken.hits
    problems = problems_of(data)
    if broken.sound:
        assert not problems
    elif name in WORDS:
        (problem,) = problems
        assert problem.part == str(broken.path)
        for words in WORDS[name]:
            assert words in problem.reason
        assert "\n" not in problem.reason


@pytest.mark.parametrize("name", NAMES)
def test_alone_it_is_explained(hostile_files, name):
    """Nothing else than EmptyInput, and that with the reason; or an empty result with the reason in its ledger."""
    broken = hostile_files[name]
    try:
        data = counted(open_files(broken.path))
    except EmptyInput as error:
        words = str(error)
        assert str(broken.path) in words
        assert error.problems or name == "no_events"  # noqa: PT017
        for one in WORDS.get(name, ()):
            assert one in words
    else:
        assert broken.hits is None or int(data["hits"].sum()) == broken.hits
        assert broken.sound or name in {"locked", "closed"} or problems_of(data)


@pytest.mark.parametrize("executor", [Inline(), Threads(3)], ids=["inline", "threads"])
def test_all_at_once_in_one_folder(hostile_files, sound, tmp_path, executor):
    data = counted(open_files(tmp_path), executor)
    np.testing.assert_array_equal(hits_of(data, sound.path), sound.counts)
    named = {Path(problem.part).stem for problem in problems_of(data)}
    # a walk finds files: an empty folder with a strange name is nothing to complain about there
    assert named == {
        broken.path.stem for name, broken in hostile_files.items() if name in WORDS and name != "directory"
    }
    assert int(hits_of(data, hostile_files["hostile_name"].path).sum()) == 400


@pytest.mark.parametrize("compression", ["zlib", "lz4", "lzma", "zstd"])
def test_a_corrupt_basket_costs_its_chunk_and_no_more(hostile, tmp_path, compression):
    broken = hostile.corrupt_basket(tmp_path / "a.root", compression=compression)
    data = run(open_files(broken.path), lambda schema: reduction(None, schema), target_bytes=1)
    assert int(data["hits"].sum()) == 300
    assert int(data["n_events"]) == 30
    assert data["entry"].values.tolist() == [*range(10), *range(20, 40)]
    (problem,) = problems_of(data)
    assert "basket 1" in problem.reason


# ---- while it is read


def started(paths):
    """A stream in chunks of one basket, after its first."""
    close_all()
    source = open_files(paths)
    snapshots = stream(source, lambda schema: reduction(None, schema), executor=Inline(), every=0.0, target_bytes=1)
    first = next(snapshots)
    assert int(first.data["n_events"]) == 10
    return snapshots


def ended(snapshots, sound, path):
    *_, last = snapshots
    assert last.status == "complete"
    assert last.fraction == 1.0
    (problem,) = last.problems
    assert problem.part == str(path)
    hits = int(last.data["hits"].sum())
    assert hits == int(last.data["hits_per_event"].sum()) == 100 + sound.counts.sum()  # one basket, and the sound file
    return problem


def test_a_file_that_is_removed_while_it_is_read(hostile, sound, tmp_path):
    path = hostile.sound_spill(tmp_path / "a.root").path
    snapshots = started([path, sound.path])
    path.unlink()
    problem = ended(snapshots, sound, path)
    assert problem.chunks == 3
    assert "No such file" in problem.reason


def test_a_file_that_is_cut_while_it_is_read(hostile, sound, tmp_path):
    path = hostile.sound_spill(tmp_path / "a.root").path
    size = path.stat().st_size
    snapshots = started([path, sound.path])
    os.truncate(path, size // 2)
    problem = ended(snapshots, sound, path)
    assert problem.reason.startswith(f"expected {size} bytes, found {size // 2}")


def test_a_file_that_is_emptied_while_it_is_read(hostile, sound, tmp_path):
    path = hostile.sound_spill(tmp_path / "a.root").path
    snapshots = started([path, sound.path])
    os.truncate(path, 0)
    assert "found an empty file" in ended(snapshots, sound, path).reason


def test_a_file_that_is_replaced_while_it_is_read(hostile, sound, tmp_path):
    path = hostile.sound_spill(tmp_path / "a.root").path
    snapshots = started([path, sound.path])
    hostile.sound_spill(path)
    assert "was replaced by another file" in ended(snapshots, sound, path).reason


def test_a_folder_that_is_removed_while_it_is_read(hostile, sound, tmp_path):
    path = hostile.sound_spill(tmp_path / "run" / "a.root").path
    snapshots = started([tmp_path / "run", sound.path])
    shutil.rmtree(tmp_path / "run")
    assert "No such file" in ended(snapshots, sound, path).reason


# ---- what may not be read


@contextmanager
def ordinary_user():
    """Root may read everything: for the time of the block, be nobody."""
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(0)


@pytest.fixture
def public():
    """A folder that everybody may enter, unlike pytest's own."""
    folder = Path(tempfile.mkdtemp(prefix="detcore-hostile-"))
    folder.chmod(0o755)
    yield folder
    for place in folder.rglob("*"):
        place.chmod(0o755)
    shutil.rmtree(folder)


@pytest.mark.parametrize("what", ["file", "folder"])
def test_what_may_not_be_read_is_a_line_of_the_ledger(hostile, public, what):
    sound = hostile.sound_spill(public / "sound.root")
    (public / "closed").mkdir()
    locked = hostile.sound_spill(public / "closed" / "a.root").path
    locked = locked if what == "file" else locked.parent
    counted(open_files(public))  # compiles and imports what an ordinary user may not be allowed to
    close_all()
    locked.chmod(0)
    with ordinary_user():
        data = counted(open_files(public), Inline())
    np.testing.assert_array_equal(hits_of(data, sound.path), sound.counts)
    assert int(data["hits"].sum()) == 400
    (problem,) = problems_of(data)
    assert problem.part == str(locked)
    assert "Permission denied" in problem.reason


def test_a_folder_that_may_not_be_read_alone(hostile, public):
    hostile.sound_spill(public / "closed" / "a.root")
    (public / "closed").chmod(0)
    with ordinary_user(), pytest.raises(EmptyInput, match="Permission denied"):
        run(open_files(public / "closed"), HitsByFile(), executor=Inline())


# ---- fuzz


def test_any_length_and_any_flipped_bytes(hostile, tmp_path, sound):
    """Two hundred damaged copies: an answer or a line for each, and the sound file among them exact."""
    content = hostile.sound_spill(tmp_path / "whole.root").path.read_bytes()
    rng, folder = np.random.default_rng(11), tmp_path / "fuzz"
    folder.mkdir()
    for number in range(100):
        damaged = bytearray(content)
        for place in rng.integers(0, len(content), 1 + number % 40):
            damaged[place] = rng.integers(0, 256)
        (folder / f"flipped_{number}.root").write_bytes(damaged)
        (folder / f"cut_{number}.root").write_bytes(content[: rng.integers(0, len(content))])
    data = counted(open_files([folder, sound.path]))
    np.testing.assert_array_equal(hits_of(data, sound.path), sound.counts)
    named = {Path(problem.part).stem for problem in problems_of(data)}
    assert named >= {f"cut_{number}" for number in range(100)}
    assert any(name.startswith("flipped") for name in named)
    for problem in problems_of(data):
        assert len(problem.reason) > 10


def test_a_public_call_with_nothing_sound_raises_the_ledger(hostile_files):
    with pytest.raises(EmptyInput) as caught:
        reduce([hostile_files[name].path for name in ("text", "no_tree", "dangling")])
    assert len(caught.value.problems) == 3
    assert isinstance(caught.value, ValueError)
