"""What a recorded value has no data for is named with its cure, and the cures work."""

import re

import numpy as np
import pytest

import sciad
from sciad import numpy as snp
from sciad.core.data_cures import cure_of
from sciad.core.errors import RecordError

X = np.array([1.0, -2.0, 3.0])


def cleared(x):
    y = x.copy()
    y[y > 0] = 0.0
    return y


def cleared_whole(x):
    y = x.copy()
    y[...] = np.where(y > 0, 0.0, y)
    return y


ASKED = {
    "mask": (lambda x: x[x > 0].sum(), "a boolean mask", r"np.where\(mask, x, 0\), np.sum\(x, wh"),
    "mask of a plain array": (lambda x: np.arange(3.0)[x > 0], "a boolean mask", "where=mask"),
    "assignment": (cleared, "a boolean mask", r"x\[\.\.\.\] = np.where\(mask, v, x\)"),
    "compress": (lambda x: np.compress(x > 0, x), "the condition of np.compress", "where=mask"),
    "delete": (lambda x: np.delete(x, x > 0), "the places of np.delete", "where=mask"),
    "unique": (lambda x: np.unique(x), "np.unique", r"np.sort\(x\) keeps the shape"),
    "setxor1d": (lambda x: np.setxor1d(x, x + 1.0, True), "np.setxor1d", r"np.isin\(a, b\)"),
    "nonzero": (lambda x: np.nonzero(x)[0], "np.nonzero", "keep the mask instead"),
    "flatnonzero": (lambda x: np.flatnonzero(x), "np.flatnonzero", r"np.argmax\(mask\)"),
    "argwhere": (lambda x: np.argwhere(x > 0), "np.argwhere", r"np.count_nonzero\(mask\)"),
    "where": (lambda x: np.where(x > 0)[0], r"np.where\(condition\)", "keep the mask instead"),
    "roots": (lambda x: np.roots(x), "np.roots", r"np.linalg.eigvals\(np.vstack"),
    "repeat": (lambda x: np.repeat(x, x > 0), "the repeats of np.repeat", "as a constant"),
    "int": (lambda x: int(x[0]), r"int\(\)", r"x.astype\(int\)"),
    "index": (lambda x: np.arange(3.0)[np.argsort(x)], "an index", r"np.take\(a, i\)"),
}


@pytest.mark.parametrize("name", ASKED)
def test_what_asks_for_data_is_named_with_its_cure(name):
    f, what, cure = ASKED[name]
    message = f"^{what} needs the data of a value.*; .*{cure}"
    with pytest.raises(RecordError, match=message) as seen:
        sciad.jit(f, strict=True)(X)
    assert re.search(r"\(at .*:\d+\)", str(seen.value))


CURED = {
    "mask": (lambda x: x[x > 0].sum(), lambda x: np.sum(x, where=x > 0)),
    "where": (lambda x: x[x > 0].sum(), lambda x: np.where(x > 0, x, 0).sum()),
    "assignment": (cleared, cleared_whole),
    "first": (lambda x: np.flatnonzero(x < 0)[0], lambda x: np.argmax(x < 0)),
    "unique": (lambda x: np.unique(x).size, lambda x: 1 + np.sum(np.diff(np.sort(x)) != 0)),
    "roots": (lambda p: np.sum(np.roots(p)**3), lambda p: np.sum(np.linalg.eigvals(
        np.vstack([-p[1:] / p[0], np.eye(p.size - 2, p.size - 1)]) + 0j)**3)),
    "index": (lambda x: np.arange(3.0)[np.argsort(x)],
              lambda x: snp.take(np.arange(3.0), np.argsort(x))),
}


@pytest.mark.parametrize("name", CURED)
def test_the_cures_compile(name):
    asked, cured = CURED[name]
    np.testing.assert_allclose(sciad.jit(cured, strict=True)(X), asked(X), atol=1e-12)


def test_what_is_not_known_has_no_cure():
    assert cure_of("its value") == ""
