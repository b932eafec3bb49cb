"""Colourings: which columns of a sparse derivative one product with a vector can give.

A direction that is 1 in several columns of J and 0 in the others gives the sum of these columns.
Their entries can be read off it where no two of the columns have an entry in the same row. So

    columns   a colouring of the columns such that no two of one colour share a row: one product
              J s a colour gives all of J (A. Curtis, M. Powell, J. Reid, "On the estimation of
              sparse Jacobian matrices", 1974); of the rows: J^T s
    star      for a symmetric H, a colouring of the vertices of its graph (an edge i j for each
              entry off the diagonal) such that neighbours differ, and that every path of four
              vertices has three colours or more: of h_ij and h_ji, which are one number, at least
              one can be read off (T. Coleman, J. More, "Estimation of sparse Hessian matrices and
              graph coloring problems", 1984)

The fewest colours are hard to find; first fit, which gives each column in turn the first colour
that does no harm, comes close in a good order of the columns (T. Coleman, J. More, "Estimation of
sparse Jacobian matrices and graph coloring problems", 1983). The order that the columns have is
optimal for bands; where colours may be saved, others are tried: most neighbours first, and
fewest neighbours last. A review is A. Gebremedhin, F. Manne, A. Pothen, "What color is your
Jacobian?", SIAM Review 47 (2005).

Sets of colours are the bits of Python's integers, one for each row: first fit looks at each entry
of the pattern twice, and so does the star colouring but for the vertices with two neighbours of
one colour, at whose neighbours it looks once for each such colour.
"""

from collections.abc import Iterator

import numpy as np
import scipy

from sciad.core.patterns import gathered

_BITS = 512
"""Colours that are given out in one pass over the columns: a bound on the memory of the sets."""

_CHUNK = 1 << 16

_SMALL = 300_000
"""Up to so many entries, other orders are tried where they may save colours."""


def column_colours(pattern) -> np.ndarray:
    """A colour for each column, 0, 1, ..., such that no two columns of a colour share a row.

    Parameters
    ----------
    pattern : scipy.sparse.csr_array of bool

    Examples
    --------
    >>> import numpy as np, scipy
    >>> band = np.tri(6, k=1, dtype=bool) & np.tri(6, k=1, dtype=bool).T
    >>> column_colours(scipy.sparse.csr_array(band))
    array([0, 1, 2, 0, 1, 2])
    """
    rows, columns = pattern.shape
    least = int(np.diff(pattern.indptr).max(initial=0))
    if least > columns // 2:
        return np.arange(columns)
    across = pattern.T.tocsr()
    best = _first_fit(across, np.arange(columns), rows)
    for order in (_by_degree, _by_peeling):
        if pattern.nnz > _SMALL or best.max(initial=-1) < least:
            break
        best = _fewer(best, _first_fit(across, order(_shared(pattern)), rows))
    return best


def star_colours(pattern) -> np.ndarray:
    """A star colouring of the graph of a symmetric pattern, whose diagonal is left aside.

    Parameters
    ----------
    pattern : scipy.sparse.csr_array of bool

    Examples
    --------
    An arrow, whose first row and column are full, takes two colours:

    >>> import numpy as np, scipy
    >>> arrow = np.eye(5, dtype=bool)
    >>> arrow[0] = arrow[:, 0] = True
    >>> star_colours(scipy.sparse.csr_array(arrow))
    array([0, 1, 1, 1, 1])
    """
    graph = without_diagonal(pattern)
    size = graph.shape[0]
    least = int(np.diff(graph.indptr).max(initial=-1)) + 1
    best = _first_star(graph, np.arange(size))
    if best.max(initial=-1) >= least:  # what is read off by columns is read off by stars
        best = _fewer(best, column_colours(pattern))
    for order in (_by_degree, _by_peeling):
        if graph.nnz <= _SMALL and best.max(initial=-1) > 1:
            best = _fewer(best, _first_star(graph, order(graph)))
    return best


def without_diagonal(pattern):
    """A square pattern without its diagonal, as a graph."""
    pattern = pattern.tocoo()
    off = pattern.row != pattern.col
    graph = scipy.sparse.csr_array(
        (np.ones(np.count_nonzero(off), bool), (pattern.row[off], pattern.col[off])),
        shape=pattern.shape)
    graph.sum_duplicates()
    return graph


def _fewer(first, second):
    return second if second.max(initial=-1) < first.max(initial=-1) else first


# --- first fit ------------------------------------------------------------------------------------


def _lines(matrix, order: np.ndarray) -> Iterator[tuple[int, list]]:
    """The column numbers of each row, in an order of the rows; made into lists piece by piece."""
    for start in range(0, len(order), _CHUNK):
        numbers = order[start:start + _CHUNK]
        part = gathered(matrix, numbers)
        entries, ends = part.indices.tolist(), part.indptr.tolist()
        for k, number in enumerate(numbers.tolist()):
            yield number, entries[ends[k]:ends[k + 1]]


def _first_fit(across, order: np.ndarray, rows: int) -> np.ndarray:
    """First fit of columns, given the rows of each; so many colours a pass."""
    colours = np.zeros(across.shape[0], np.intp)
    base = 0
    while order.size:
        left = _fit_pass(across, order, rows, base, colours)
        order, base = np.array(left, np.intp), base + _BITS
    return colours


def _fit_pass(across, order, rows, base, colours) -> list[int]:
    """Give out the colours from `base` on; the columns that need a later one."""
    used, left, most = [0] * rows, [], 1 << _BITS
    for column, places in _lines(across, order):
        taken = 0
        for i in places:
            taken |= used[i]
        bit = ~taken & (taken + 1)
        if bit == most:
            left.append(column)
            continue
        for i in places:
            used[i] |= bit
        colours[column] = base + bit.bit_length() - 1
    return left


def _first_star(graph, order: np.ndarray) -> np.ndarray:
    """First fit of the vertices of a graph, as a star colouring.

    A vertex v may not take the colour of a coloured neighbour w; nor that of a vertex x next to
    such a w, if x has another neighbour of w's colour (the path v w x y would have two colours),
    or if v has (y v w x would). Kept for each vertex, as sets of colours: its own; those of its
    neighbours (`near`); those that two of them have (`twice`); and those of the neighbours x that
    have another neighbour coloured as it is (`beyond`).
    """
    size = graph.shape[0]
    own, near, twice, beyond = [0] * size, [0] * size, [0] * size, [0] * size
    ends, entries = graph.indptr, graph.indices
    for v, around in _lines(graph, order):
        taken, many = near[v], twice[v]
        for w in around:
            if own[w]:
                taken |= beyond[w]
                if own[w] & many:
                    taken |= near[w]
        bit = own[v] = ~taken & (taken + 1)
        for w in around:
            if own[w] & many:
                beyond[w] |= bit
            if not near[w] & bit:
                near[w] |= bit
                continue
            if twice[w] & bit:
                beyond[v] |= own[w]
                continue
            twice[w] |= bit
            if own[w]:
                for u in entries[ends[w]:ends[w + 1]].tolist():
                    if own[u] == bit:
                        beyond[u] |= own[w]
    return np.fromiter((bit.bit_length() - 1 for bit in own), np.intp, size)


# --- orders ---------------------------------------------------------------------------------------


def _shared(pattern):
    """The graph of the columns that share a row."""
    ones = pattern.astype(np.int32)
    return without_diagonal(ones.T @ ones)


def _by_degree(graph) -> np.ndarray:
    """Most neighbours first (Welsh and Powell, 1967)."""
    return np.argsort(-np.diff(graph.indptr), kind="stable")


def _by_peeling(graph) -> np.ndarray:
    """Fewest neighbours last, where those who stand later do not count (D. Matula, L. Beck,
    "Smallest-last ordering", 1983), in rounds that each take off all vertices with no more
    neighbours left than a little over the mean (M. Besta et al., "High-performance parallel graph
    coloring", 2020)."""
    degrees = np.diff(graph.indptr).astype(np.int64)
    left = np.arange(len(degrees))
    peeled = [left[:0]]
    while left.size:
        few = degrees[left] <= 1.1 * degrees[left].mean()
        layer, left = left[few], left[~few]
        degrees -= np.bincount(gathered(graph, layer).indices, minlength=len(degrees))
        peeled.append(layer[np.argsort(-degrees[layer], kind="stable")])
    return np.concatenate(peeled[::-1])
