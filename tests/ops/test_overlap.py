"""Writes into ``x.flat`` and by ``np.place`` from the same array: entry by entry, as NumPy."""

import numpy as np
import pytest

import sciad
from sciad import numpy as snp
from sciad.core.record import record

X = np.arange(1.0, 13.0) / 7


def flat(index, take, shape=(12,)):
    def write(a):
        a = a.reshape(shape)
        a.flat[index] = take(a)
    return write


def whole(take, shape=(12,)):
    def write(a):
        a = a.reshape(shape)
        a.flat = take(a)
    return write


def place(mask, take, step=slice(None)):
    def write(a):
        part = a[step]
        np.place(part, np.resize(mask, part.shape), take(part))
    return write


WRITES = {
    "list": flat([1, 2, 3], lambda a: a[:3]), "slice": flat(slice(1, 4), lambda a: a[:3]),
    "back": flat([3, 2, 1], lambda a: a[:3]), "cycled": flat(slice(1, None), lambda a: a[:2]),
    "itself": flat(slice(1, None), lambda a: a), "twice": flat([2, 1, 2], lambda a: a[:3]),
    "apart": flat([5, 6], lambda a: a[:2]), "one": flat([3], lambda a: a[2:3]),
    "rows": flat(slice(2, 8), lambda a: a[:2], (3, 4)),
    "transposed": flat(slice(None), lambda a: a.T, (3, 4)),
    "product": flat([1, 2, 3], lambda a: a[:3] * 2.0),
    "whole": whole(lambda a: a.T, (3, 4)), "whole back": whole(lambda a: a[::-1]),
    "whole rows back": whole(lambda a: a[::-1], (3, 4)), "whole cycled": whole(lambda a: a[1:3]),
    "place": place([False, True], lambda a: a[:2]), "place many": place([True], lambda a: a[1:3]),
    "place back": place([True], lambda a: a[1:3][::-1]),
    "place into gaps": place([True], lambda a: a[:2], slice(None, None, 2)),
    "place apart": place([False] * 10 + [True] * 2, lambda a: a[:2]),
}


@pytest.mark.parametrize("name", WRITES)
def test_entries_are_written_one_by_one(name):
    def f(x):
        a = snp.array(x * x)
        WRITES[name](a)
        return a * np.arange(1.0, 13.0)

    np.testing.assert_allclose(sciad.vjp(f, X)[0], f(X))
    np.testing.assert_allclose(record(f, X)(X), f(X))
    sciad.check_grads(f, (X,))
