"""The hostile files are what they say: a bad file that was sound would make every test of a reader pass."""

from __future__ import annotations

import numpy as np
import pytest
import uproot


def read(path):
    """Count hits of real channels, or raise, as the plainest reader would."""
    with uproot.open({path: None}) as file:
        tree = file["save"]
        detector, element = (tree[f"fAllHits.{name}ID"].array() for name in ("detector", "element"))
    assert len(detector) == len(element) == tree.num_entries
    pairs = np.stack(
        [np.concatenate([np.asarray(event, float) for event in [*branch, []]]) for branch in (detector, element)]
    )
    per_event = [[len(event) for event in branch] for branch in (detector, element)]
    assert per_event[0] == per_event[1]
    top = {3: 160, 31: 20}
    return sum(1 <= element <= top.get(detector, 0) for detector, element in pairs.T)


SILENT = {"cut_99", "unlike_type", "locked"}  # a plain reader sees nothing wrong (root may read what is locked)


def test_every_broken_file_breaks_a_plain_reader(hostile_files):
    for name, broken in hostile_files.items():
        if not broken.sound and name not in SILENT:
            with pytest.raises(Exception, match=r".+"):
                read(broken.path)


def test_sound_files_hold_the_hits_they_promise(hostile_files):
    sound = {name: broken for name, broken in hostile_files.items() if broken.sound}
    assert {"impossible_ids", "no_events", "no_hits", "hostile_name"} == set(sound)
    assert {name: read(broken.path) for name, broken in sound.items()} == {n: b.hits for n, b in sound.items()}


@pytest.mark.parametrize("compression", ["zlib", "lz4", "lzma", "zstd"])
def test_a_corrupt_basket_spoils_ten_events_and_no_more(hostile, tmp_path, compression):
    path = hostile.corrupt_basket(tmp_path / "a.root", compression=compression).path
    with uproot.open(path) as file:
        branch = file["save"][hostile.DETECTOR]
        good = [branch.array(entry_start=start, entry_stop=start + 10) for start in (0, 20, 30)]
        assert [len(part) for part in good] == [10, 10, 10]
        with pytest.raises(Exception, match=r".+"):
            branch.array(entry_start=10, entry_stop=20)
