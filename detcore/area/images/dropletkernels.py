"""Groups of bright pixels in one pass over a frame: union and find over the runs of each row.

A pixel belongs to a droplet if it reaches the upper threshold, or the lower one and one of its four neighbours the
upper one. Pixels that share an edge belong together; panels are never joined. The sums of a droplet grow while its
runs are found, so that nothing but the runs is ever visited again.
"""

from __future__ import annotations

import numpy as np
from numba import njit

SUM, N, SUM_Y, SUM_X, LARGEST, TOP, BOTTOM, LEFT, RIGHT, SUM_YY, SUM_XX, SUM_XY = range(12)
N_SUMS = 12
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
        (droplet, 12) float64, in the order of the first pixel of each: sum, pixels, sums of value times row and column,
        largest value, limits (top, bottom, left, right, half-open), sums of value times the squares and the product.
    runs
        (run, 5) int32: module, row, first column, end column, droplet.
    """
    modules, ny, nx = frame.shape
    words = (nx + 7) // 8
    size = PAD + words * 8 + PAD
    two = low < high
    flags = np.zeros((3, size), np.uint8)  # of the row before, this one and the next: reaches `high`
    weak = np.zeros((3, size), np.uint8)  # reaches `low`
    chosen = np.zeros(size, np.uint8)
    parents = np.empty(1024, np.int32)
    sums = np.empty((1024, N_SUMS), np.float64)
    runs = np.empty((4096, 5), np.int32)
    labels = n_runs = 0
    for module in range(modules):
        panel = frame[module]
        flags[:] = 0
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
                flags[following][:] = 0
            if y == 0:
                some[previous] = 0
            active = some[this] > 0 or (two and some[previous] + some[following] > 0)
            if not active:
                before = after = n_runs
                continue
            row = flags[this]
            if two:
                up, down, faint = flags[previous], flags[following], weak[this]
                for x in range(PAD, PAD + nx):
                    chosen[x] = row[x] | (faint[x] & (row[x - 1] | row[x + 1] | up[x] | down[x]))
                row = chosen
            first_run = n_runs
            eight = row.view(np.uint64)
            values = panel[y]
            x = 0
            at = before
            while x < nx:
                if x & 7 == 0 and eight[(x >> 3) + 1] == 0:
                    x += 8
                    continue
                if row[PAD + x] == 0:
                    x += 1
                    continue
                start = x
                while x < nx and row[PAD + x] != 0:
                    x += 1
                if n_runs == len(runs):
                    larger = np.empty((2 * n_runs, 5), np.int32)
                    larger[:n_runs] = runs
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
                        longer = np.empty(2 * labels, np.int32)
                        longer[:labels] = parents
                        parents = longer
                        wider = np.empty((2 * labels, N_SUMS), np.float64)
                        wider[:labels] = sums
                        sums = wider
                    label = np.int32(labels)
                    parents[labels] = label
                    mine = sums[labels]
                    mine[:] = 0.0
                    mine[LARGEST] = -np.inf
                    mine[TOP], mine[LEFT], mine[RIGHT] = y, start, x
                    labels += 1
                run = runs[n_runs]
                run[MODULE], run[ROW], run[START], run[END], run[LABEL] = module, y, start, x, label
                n_runs += 1
                _add(sums[label], values, y, start, x)
            before, after = first_run, n_runs
    # Number what is left in the order of the first pixel: a root is the smallest number of its group.
    numbers = np.empty(labels, np.int32)
    n = 0
    for label in range(labels):
        if parents[label] == label:
            numbers[label] = n
            n += 1
    table = np.empty((n, N_SUMS), np.float64)
    for label in range(labels):
        if parents[label] == label:
            table[numbers[label]] = sums[label]
    for run in range(n_runs):
        runs[run, LABEL] = numbers[_root(parents, runs[run, LABEL])]
    return table, runs[:n_runs].copy()


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
def _add(mine, values, y, start, end):  # type: ignore[no-untyped-def]
    """Add a run to the sums of its droplet."""
    total = first = second = 0.0
    largest = mine[LARGEST]
    for x in range(start, end):
        value = np.float64(values[x])
        total += value
        first += value * x
        second += value * x * x
        largest = max(largest, value)
    mine[SUM] += total
    mine[N] += end - start
    mine[SUM_Y] += total * y
    mine[SUM_X] += first
    mine[LARGEST] = largest
    mine[TOP] = min(mine[TOP], y)
    mine[BOTTOM] = max(mine[BOTTOM], y + 1)
    mine[LEFT] = min(mine[LEFT], start)
    mine[RIGHT] = max(mine[RIGHT], end)
    mine[SUM_YY] += total * y * y
    mine[SUM_XX] += second
    mine[SUM_XY] += first * y


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
    mine, theirs = sums[one], sums[other]
    for column in (SUM, N, SUM_Y, SUM_X, SUM_YY, SUM_XX, SUM_XY):
        mine[column] += theirs[column]
    mine[LARGEST] = max(mine[LARGEST], theirs[LARGEST])
    mine[TOP] = min(mine[TOP], theirs[TOP])
    mine[BOTTOM] = max(mine[BOTTOM], theirs[BOTTOM])
    mine[LEFT] = min(mine[LEFT], theirs[LEFT])
    mine[RIGHT] = max(mine[RIGHT], theirs[RIGHT])
    return one


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
