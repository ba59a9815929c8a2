"""Leases of open files."""

from __future__ import annotations

import os
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from detcore.core import handles
from detcore.core.handles import LIMIT, close_all, lease


class Opener:
    """Opens nothing, and writes down what it was asked."""

    def __init__(self, error=None):
        self.opened, self.closed, self.error = [], [], error

    def __call__(self, path):
        self.opened.append(path)
        if self.error:
            raise self.error
        return Handle(self, path)


class Handle:
    def __init__(self, opener, path):
        self.opener, self.path, self.is_closed = opener, path, False

    def close(self):
        self.is_closed = True
        self.opener.closed.append(self.path)


@pytest.fixture(autouse=True)
def _clean():
    close_all()
    yield
    close_all()
    assert not handles._pool


@pytest.fixture
def files(tmp_path):
    paths = [tmp_path / f"{number}.bin" for number in range(LIMIT + 10)]
    for path in paths:
        path.write_bytes(b"x")
    return [str(path) for path in paths]


def test_a_file_is_opened_once(files):
    opener = Opener()
    for _ in range(5):
        with lease(opener, files[0]) as handle:
            assert handle.path == files[0]
    assert opener.opened == files[:1]
    assert not opener.closed


def test_two_openers_of_one_file_do_not_meet(files):
    first, second = Opener(), Opener()
    with lease(first, files[0]) as one, lease(second, files[0]) as two:
        assert one is not two


def test_the_pool_is_bounded_and_drops_what_was_used_longest_ago(files):
    opener = Opener()
    for path in files[:LIMIT]:
        with lease(opener, path):
            pass
    with lease(opener, files[0]):  # used again: now the newest
        pass
    for path in files[LIMIT:]:
        with lease(opener, path):
            pass
    assert len(opener.opened) - len(opener.closed) == LIMIT
    assert opener.closed == files[1:11]


def test_handles_in_use_are_never_closed(files):
    opener = Opener()
    with lease(opener, files[0]) as held:
        for path in files[1:]:
            with lease(opener, path):
                pass
        close_all()
        assert files[0] not in opener.closed
        with lease(opener, files[0]) as again:
            assert again is held
    close_all()
    assert sorted(opener.closed) == sorted(opener.opened)


def test_files_of_one_path_are_closed(files):
    opener = Opener()
    for path in files[:2]:
        with lease(opener, path):
            pass
    close_all(files[0])
    assert opener.closed == files[:1]


def test_a_replaced_or_grown_file_is_opened_anew(tmp_path):
    opener, path = Opener(), tmp_path / "a.bin"
    path.write_bytes(b"one")
    with lease(opener, str(path)) as old:
        pass
    (tmp_path / "b.bin").write_bytes(b"two")
    (tmp_path / "b.bin").replace(path)  # same size, another file
    with lease(opener, str(path)) as new:
        assert new is not old
    with path.open("ab") as file:
        file.write(b"more")
    with lease(opener, str(path)) as grown:
        assert grown is not new
    os.utime(path, ns=(1, 1))
    with lease(opener, str(path)):
        pass
    assert len(opener.opened) == 4


def test_threads_share_a_handle_and_it_is_opened_once(files):
    opener, meet = Opener(), threading.Barrier(8)

    def use(_):
        meet.wait(5)
        with lease(opener, files[0]) as handle:
            return id(handle)

    with ThreadPoolExecutor(8) as pool:
        assert len(set(pool.map(use, range(8)))) == 1
    assert len(opener.opened) == 1


def test_the_lock_of_a_library_is_held_for_the_whole_block_and_while_closing(files):
    lock, seen = threading.Lock(), []

    class Careful(Opener):
        def __call__(self, path):
            seen.append(("open", lock.locked()))
            return super().__call__(path)

    opener = Careful()
    opener.closed = type("Log", (list,), {"append": lambda self, path: seen.append(("close", lock.locked()))})()
    with lease(opener, files[0], lock):
        seen.append(("use", lock.locked()))
    assert not lock.locked()
    close_all()
    assert seen == [("open", True), ("use", True), ("close", True)]


def test_a_lock_serves_one_thread_at_a_time(files):
    opener, lock, inside, most = Opener(), threading.Lock(), [], []

    def use(number):
        with lease(opener, files[number % 3], lock):
            inside.append(number)
            most.append(len(inside))
            inside.remove(number)

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(use, range(200)))
    assert max(most) == 1


def test_an_error_is_not_remembered(files):
    opener = Opener(OSError("busy"))
    for _ in range(2):
        with pytest.raises(OSError, match="busy"), lease(opener, files[0]):
            pass
    opener.error = None
    with lease(opener, files[0]) as handle:
        assert handle.path == files[0]
    assert len(opener.opened) == 3


def test_an_error_in_the_block_leaves_the_file_usable(files):
    opener = Opener()
    with pytest.raises(ZeroDivisionError), lease(opener, files[0]):
        raise ZeroDivisionError
    with lease(opener, files[0]):
        pass
    assert len(opener.opened) == 1


def test_a_missing_file_says_so(tmp_path):
    with pytest.raises(FileNotFoundError, match="gone"), lease(Opener(), str(tmp_path / "gone")):
        pass


def test_many_threads_and_many_files_end_with_nothing_open(files):
    opener = Opener()

    def use(number):
        with lease(opener, files[number * 7 % len(files)]) as handle:
            assert not handle.is_closed
            time.sleep(0)
            assert not handle.is_closed

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(use, range(1000)))
    assert len(opener.opened) - len(opener.closed) <= LIMIT
    close_all()
    assert sorted(opener.opened) == sorted(opener.closed)
