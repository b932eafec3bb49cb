"""Colourings are valid by their definition, and use as many colours as is known to be enough."""

import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given
from hypothesis import strategies as st

from sciad.core import colouring
from sciad.core.colouring import column_colours, star_colours


def tridiagonal(n):
    places = np.arange(n)
    return sp.csr_array(abs(places[:, None] - places) <= 1)


def band(n, width):
    return sp.csr_array(abs(np.arange(n)[:, None] - np.arange(n)) <= width)


def five_point(m, n):
    return sp.csr_array((sp.kron(tridiagonal(m), sp.eye_array(n))
                         + sp.kron(sp.eye_array(m), tridiagonal(n))) != 0)


def nine_point(m, n):
    return sp.csr_array(sp.kron(tridiagonal(m), tridiagonal(n)) != 0)


def arrow(n):
    found = np.eye(n, dtype=bool)
    found[0] = found[:, 0] = True
    return sp.csr_array(found)


def symmetric(pattern):
    return sp.csr_array((pattern + pattern.T) != 0)


@st.composite
def patterns(draw, square=False):
    rows = draw(st.integers(0, 14))
    columns = rows if square else draw(st.integers(0, 14))
    share = draw(st.sampled_from([0.0, 0.1, 0.25, 0.6, 1.0]))
    rng = np.random.default_rng(draw(st.integers(0, 10**6)))
    return sp.csr_array(rng.random((rows, columns)) < share)


def share_no_row(pattern, colours):
    """No two columns of a colour have an entry in the same row."""
    full = pattern.toarray()
    return all((full[:, colours == c].sum(1) <= 1).all() for c in np.unique(colours))


def neighbours_differ(graph, colours):
    return all(colours[i] != colours[j] for i, j in np.argwhere(graph) if i != j)


def paths_of_four(graph):
    """All paths of four vertices."""
    for a, b in np.argwhere(graph):
        for c in np.flatnonzero(graph[b]):
            for d in np.flatnonzero(graph[c]):
                if len({a, b, c, d}) == 4:
                    yield [a, b, c, d]


def is_star(pattern, colours):
    graph = pattern.toarray() & ~np.eye(pattern.shape[0], dtype=bool)
    return neighbours_differ(graph, colours) and all(
        len(set(colours[path].tolist())) >= 3 for path in paths_of_four(graph))


def are_counted_from_zero(colours):
    return set(colours.tolist()) == set(range(colours.max(initial=-1) + 1))


@given(patterns())
def test_columns_of_a_colour_share_no_row(pattern):
    colours = column_colours(pattern)
    assert colours.shape == (pattern.shape[1],)
    assert share_no_row(pattern, colours)
    assert are_counted_from_zero(colours)


@given(patterns(square=True))
def test_star_colourings(pattern):
    pattern = symmetric(pattern)
    colours = star_colours(pattern)
    assert colours.shape == (pattern.shape[0],)
    assert is_star(pattern, colours)
    assert are_counted_from_zero(colours)


@given(patterns(square=True), st.randoms(use_true_random=False))
def test_first_fit_is_valid_in_any_order(pattern, random):
    order = list(range(pattern.shape[0]))
    random.shuffle(order)
    order = np.array(order, np.intp)
    assert share_no_row(pattern, colouring._first_fit(pattern.T.tocsr(), order, len(order)))
    pattern = symmetric(pattern)
    graph = colouring.without_diagonal(pattern)
    assert is_star(pattern, colouring._first_star(graph, order))


@given(patterns(square=True))
def test_orders_are_permutations(pattern):
    graph = colouring._shared(pattern)
    for order in (colouring._by_degree(graph), colouring._by_peeling(graph)):
        np.testing.assert_array_equal(np.sort(order), np.arange(pattern.shape[0]))


@given(patterns())
def test_passes_give_the_colours_of_one_pass(pattern):
    across, order = pattern.T.tocsr(), np.arange(pattern.shape[1])
    whole = colouring._first_fit(across, order, pattern.shape[0])
    before = colouring._BITS
    try:
        colouring._BITS = 2
        np.testing.assert_array_equal(
            colouring._first_fit(across, order, pattern.shape[0]), whole)
    finally:
        colouring._BITS = before


@given(patterns())
def test_pieces_give_the_colours_of_one_piece(pattern):
    whole = column_colours(pattern)
    before = colouring._CHUNK
    try:
        colouring._CHUNK = 3
        np.testing.assert_array_equal(column_colours(pattern), whole)
    finally:
        colouring._CHUNK = before


COLUMNS = {  # the pattern, and the most colours it may take
    "diagonal": (band(50, 0), 1),
    "tridiagonal": (tridiagonal(50), 3),
    "pentadiagonal": (band(50, 2), 5),
    "five points": (five_point(20, 20), 7),
    "nine points": (nine_point(20, 20), 9),
    "arrow": (arrow(50), 50),
    "two columns": (sp.csr_array(np.ones((30, 2), bool)), 2),
    "arrow without its row": (arrow(50)[1:], 2),
    "empty": (sp.csr_array((5, 7), dtype=bool), 1),
}


@pytest.mark.parametrize("name", COLUMNS)
def test_columns_of_known_patterns(name):
    pattern, most = COLUMNS[name]
    colours = column_colours(sp.csr_array(pattern))
    assert share_no_row(pattern, colours)
    assert colours.max() < most


STARS = {
    "diagonal": (band(50, 0), 1),
    "tridiagonal": (tridiagonal(50), 3),
    "pentadiagonal": (band(50, 2), 5),
    "five points": (five_point(9, 9), 6),
    "nine points": (nine_point(7, 7), 9),
    "arrow": (arrow(50), 2),
    "arrow backwards": (sp.csr_array(arrow(50).toarray()[::-1, ::-1]), 2),
    "dense": (sp.csr_array(np.ones((9, 9), bool)), 9),
    "without entries": (sp.csr_array((6, 6), dtype=bool), 1),
}


@pytest.mark.parametrize("name", STARS)
def test_stars_of_known_patterns(name):
    pattern, most = STARS[name]
    colours = star_colours(pattern)
    assert is_star(pattern, colours)
    assert colours.max() < most


def test_other_orders_save_colours():
    saved = 0
    for seed in range(30):
        pattern = sp.csr_array(np.random.default_rng(seed).random((20, 40)) < 0.1)
        across, places = pattern.T.tocsr(), np.arange(40)
        natural = colouring._first_fit(across, places, 20).max()
        assert column_colours(pattern).max() <= natural
        saved += natural - column_colours(pattern).max()
    assert saved > 0


@pytest.mark.slow
def test_a_million_columns():
    n = 1_000_000
    rows = np.repeat(np.arange(n), 3)
    columns = (rows.reshape(-1, 3) + [-1, 0, 1]).reshape(-1)
    inside = (columns >= 0) & (columns < n)
    pattern = sp.csr_array((np.ones(inside.sum(), bool), (rows[inside], columns[inside])),
                           shape=(n, n))
    np.testing.assert_array_equal(column_colours(pattern), np.arange(n) % 3)
    stars = star_colours(pattern)
    assert stars.max() == 2
    neighbours = np.stack([stars[:-3], stars[1:-2], stars[2:-1], stars[3:]])
    assert (np.sort(neighbours, 0)[1:] != np.sort(neighbours, 0)[:-1]).sum(0).min() >= 2
