"""Groups of bright pixels in one pass over a frame: union and find over the runs of each row.

A pixel belongs to a droplet if it reaches the upper threshold, or the lower one and one of its four neighbours the
upper one. Pixels that share an edge belong together; panels are never joined. The sums of a droplet grow while its
runs are found, so that nothing but the runs is ever visited again.
"""

from __future__ import annotations

import numpy as np
from numba import njit

SUM, N, SUM_Y, SUM_X, LARGEST = range(5)  # few, because fresh memory costs more than the sums
N_SUMS = 5
TOP, BOTTOM, LEFT, RIGHT, SUM_YY, SUM_XX, SUM_XY = range(7)  # of `shapes`
N_SHAPES = 7
MODULE, ROW, START, END, LABEL = range(5)  # columns of the table of runs
PAD = 8  # one word of flags on either side of a row


@njit(cache=True, nogil=True)
def find(frame, good, scale, high, low):  # type: ignore[no-untyped-def]
    """Find the droplets of a frame.

    Parameters
    ----------
    frame
        (module, y, x) float32, contiguous.
    good
        (module, y, x) uint8, contiguous, 0 where a pixel is left out; or (0, 0, 0).
    scale
        (module, y, x) float32, contiguous: the thresholds are in units of it (the noise); or (0, 0, 0).
    high, low
        float32, low <= high.

    Returns
    -------
    table
        (droplet, 5) float64, in the order of the first pixel of each: sum, pixels, sums of value times row and column,
        largest value.
    runs
        (run, 5) int32: module, row, first column, end column, droplet.
    """
    modules, ny, nx = frame.shape
    size = PAD + (nx + 7) // 8 * 8 + PAD
    words = np.empty(size // 8, np.int64)
    two = low < high
    flags = np.zeros((3, size), np.uint8)  # of the row before, this one and the next: reaches `high`
    weak = np.zeros((3, size), np.uint8)  # reaches `low`
    chosen = np.zeros(size, np.uint8)
    parents = np.empty(4096, np.int32)
    sums = np.empty((4096, N_SUMS), np.float64)
    runs = np.empty((4096, 5), np.int32)
    labels = n_runs = 0
    for module in range(modules):
        panel = frame[module]
        for row_of_flags in range(3):
            _clear(flags[row_of_flags])
        before = after = n_runs  # runs of the row before
        some = np.zeros(3, np.int64)
        some[0] = _flag(panel, good, scale, module, 0, high, low, two, flags[0], weak[0])
        for y in range(ny):
            this, following, previous = y % 3, (y + 1) % 3, (y + 2) % 3
            some[following] = 0
            if y + 1 < ny:
                some[following] = _flag(
                    panel, good, scale, module, y + 1, high, low, two, flags[following], weak[following]
                )
            elif two:
                _clear(flags[following])
            if y == 0:
                some[previous] = 0
            active = some[this] > 0 or (two and some[previous] + some[following] > 0)
            if not active:
                before = after = n_runs
                continue
            if two:
                _choose(flags[previous], flags[this], flags[following], weak[this], chosen)
                n_words = _active(chosen, words)
            else:
                n_words = _active(flags[this], words)
            row = chosen if two else flags[this]
            first_run = n_runs
            values = panel[y]
            x = at_word = 0
            at = before
            while at_word < n_words:
                x = max(x, words[at_word] * 8 - PAD)
                end = words[at_word] * 8 - PAD + 8
                while x < end and row[PAD + x] == 0:
                    x += 1
                if x >= end:
                    at_word += 1
                    continue
                start = x
                while row[PAD + x] != 0:  # the padding is 0
                    x += 1
                if n_runs == len(runs):
                    larger = np.empty((4 * n_runs, 5), np.int32)
                    for old in range(n_runs):
                        for column in range(5):
                            larger[old, column] = runs[old, column]
                    runs = larger
                # Runs of the row before that share a column with this one: both lists are in order.
                label = np.int32(-1)
                while at < after and runs[at, END] <= start:
                    at += 1
                other = at
                while other < after and runs[other, START] < x:
                    root = _root(parents, runs[other, LABEL])
                    if label < 0:
                        label = root
                    elif root != label:
                        label = _join(parents, sums, label, root)
                    other += 1
                if label < 0:
                    if labels == len(parents):
                        longer = np.empty(4 * labels, np.int32)
                        wider = np.empty((4 * labels, N_SUMS), np.float64)
                        for old in range(labels):
                            longer[old] = parents[old]
                            for column in range(N_SUMS):
                                wider[old, column] = sums[old, column]
                        parents, sums = longer, wider
                    label = np.int32(labels)
                    parents[labels] = label
                    for column in range(LARGEST):
                        sums[labels, column] = 0.0
                    sums[labels, LARGEST] = -np.inf
                    labels += 1
                runs[n_runs, MODULE] = module
                runs[n_runs, ROW] = y
                runs[n_runs, START] = start
                runs[n_runs, END] = x
                runs[n_runs, LABEL] = label
                n_runs += 1
                # Written out, with plain indices: a view of a row of the table would cost more than the sums.
                total = first = 0.0
                largest = sums[label, LARGEST]
                for place in range(start, x):
                    value = np.float64(values[place])
                    total += value
                    first += value * place
                    largest = max(largest, value)
                sums[label, SUM] += total
                sums[label, N] += x - start
                sums[label, SUM_Y] += total * y
                sums[label, SUM_X] += first
                sums[label, LARGEST] = largest
            before, after = first_run, n_runs
    # Number what is left in the order of the first pixel: a root is the smallest number of its group.
    numbers = np.empty(labels, np.int32)
    n = 0
    for root in range(labels):
        if parents[root] == root:
            numbers[root] = n
            for column in range(N_SUMS):
                sums[n, column] = sums[root, column]
            n += 1
    for run in range(n_runs):
        runs[run, LABEL] = numbers[_root(parents, runs[run, LABEL])]
    return sums[:n], runs[:n_runs]


@njit(cache=True, nogil=True)
def _clear(flags):  # type: ignore[no-untyped-def]
    """Forget the flags of a row."""
    for x in range(len(flags)):
        flags[x] = np.uint8(0)


@njit(cache=True, nogil=True)
def _flag(panel, good, scale, module, y, high, low, two, flags, weak):  # type: ignore[no-untyped-def]
    """Flag the pixels of a row that reach the thresholds; return how many reach the upper one."""
    row = panel[y]
    nx = len(row)
    strong = flags[PAD : PAD + nx]
    faint = weak[PAD : PAD + nx]
    largest = np.float32(3.4028235e38)
    count = 0
    if scale.size:
        unit = scale[module][y]
        for x in range(nx):
            strong[x] = np.uint8((row[x] >= high * unit[x]) & (row[x] <= largest))
        if two:
            for x in range(nx):
                faint[x] = np.uint8((row[x] >= low * unit[x]) & (row[x] <= largest))
    else:
        for x in range(nx):
            strong[x] = np.uint8((row[x] >= high) & (row[x] <= largest))
        if two:
            for x in range(nx):
                faint[x] = np.uint8((row[x] >= low) & (row[x] <= largest))
    if good.size:
        use = good[module][y]
        for x in range(nx):
            strong[x] &= np.uint8(use[x] != 0)
        if two:
            for x in range(nx):
                faint[x] &= np.uint8(use[x] != 0)
    words = flags.view(np.uint64)
    for word in range(len(words)):
        count += words[word] != 0
    return count


@njit(cache=True, nogil=True)
def _choose(up, row, down, weak, chosen):  # type: ignore[no-untyped-def]
    """Take the strong pixels of a row, and the weak ones with a strong neighbour."""
    size = len(row)
    left, right = row[: size - 2], row[2:]
    middle, above, below, faint, target = row[1:-1], up[1:-1], down[1:-1], weak[1:-1], chosen[1:-1]
    for x in range(size - 2):
        target[x] = middle[x] | (faint[x] & (left[x] | right[x] | above[x] | below[x]))


@njit(cache=True, nogil=True)
def _active(row, words):  # type: ignore[no-untyped-def]
    """List the groups of eight flags that are not all 0; return how many there are."""
    eight = row.view(np.uint64)
    n = 0
    for word in range(len(eight)):
        words[n] = word
        n += eight[word] != 0
    return n


@njit(cache=True, nogil=True)
def _root(parents, label):  # type: ignore[no-untyped-def]
    """Return the number under which a label is known, halving the way there."""
    while parents[label] != label:
        parents[label] = parents[parents[label]]
        label = parents[label]
    return label


@njit(cache=True, nogil=True)
def _join(parents, sums, one, other):  # type: ignore[no-untyped-def]
    """Make one droplet of two; the smaller number stays."""
    if other < one:
        one, other = other, one
    parents[other] = one
    for column in range(LARGEST):
        sums[one, column] += sums[other, column]
    sums[one, LARGEST] = max(sums[one, LARGEST], sums[other, LARGEST])
    return one


@njit(cache=True, nogil=True)
def shapes(runs, numbers, n, frame):  # type: ignore[no-untyped-def]
    """Return the limits and the second moments of each droplet, for the few who ask.

    Parameters
    ----------
    runs, numbers, n, frame
        As for `pixels_of`.

    Returns
    -------
    ndarray
        (n, 7) float64: top, bottom, left, right (half-open), sums of value times y y, x x and x y.
    """
    found = np.zeros((n, N_SHAPES), np.float64)
    found[:, TOP] = found[:, LEFT] = np.inf
    for run in range(len(runs)):
        number = numbers[runs[run, LABEL]]
        if number:
            mine, y = found[number - 1], runs[run, ROW]
            start, end = runs[run, START], runs[run, END]
            row = frame[runs[run, MODULE]][y]
            mine[TOP], mine[BOTTOM] = min(mine[TOP], y), max(mine[BOTTOM], y + 1)
            mine[LEFT], mine[RIGHT] = min(mine[LEFT], start), max(mine[RIGHT], end)
            for x in range(start, end):
                value = np.float64(row[x])
                mine[SUM_YY] += value * y * y
                mine[SUM_XX] += value * x * x
                mine[SUM_XY] += value * x * y
    return found


@njit(cache=True, nogil=True)
def paint(runs, numbers, labels):  # type: ignore[no-untyped-def]
    """Write the number of each droplet on its pixels.

    Parameters
    ----------
    runs
        (run, 5) int32, as `find` gives them.
    numbers
        (droplet,) int32 what to write; 0 for droplets that were left out.
    labels
        (module, y, x) int32, zero; written.
    """
    for run in range(len(runs)):
        number = numbers[runs[run, LABEL]]
        if number:
            row = labels[runs[run, MODULE]][runs[run, ROW]]
            for x in range(runs[run, START], runs[run, END]):
                row[x] = number


@njit(cache=True, nogil=True)
def pixels_of(runs, numbers, n, frame):  # type: ignore[no-untyped-def]
    """List the pixels of each droplet.

    Parameters
    ----------
    runs, numbers
        As for `paint`, numbers from 1 to n.
    n
        How many droplets there are.
    frame
        (module, y, x) float32.

    Returns
    -------
    offsets
        (n + 1,) int64: pixels offsets[i] to offsets[i + 1] are of droplet i.
    y, x
        (pixel,) int32.
    values
        (pixel,) float64.
    """
    offsets = np.zeros(n + 1, np.int64)
    for run in range(len(runs)):
        number = numbers[runs[run, LABEL]]
        if number:
            offsets[number] += runs[run, END] - runs[run, START]
    for number in range(n):
        offsets[number + 1] += offsets[number]
    place = offsets[:n].copy()
    ys, xs = np.empty(offsets[n], np.int32), np.empty(offsets[n], np.int32)
    values = np.empty(offsets[n], np.float64)
    for run in range(len(runs)):
        number = numbers[runs[run, LABEL]]
        if number:
            y = runs[run, ROW]
            row = frame[runs[run, MODULE]][y]
            at = place[number - 1]
            for x in range(runs[run, START], runs[run, END]):
                ys[at], xs[at], values[at] = y, x, row[x]
                at += 1
            place[number - 1] = at
    return offsets, ys, xs, values
