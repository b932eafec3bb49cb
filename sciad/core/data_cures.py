"""What to write where a recorded value has no data: cures by what asks for it."""

_MASKED = ("keep the shape, and let the mask choose: np.where(mask, x, 0), np.sum(x, where=mask), "
           "x[...] = np.where(mask, v, x) to assign")
_PLACES = ("their number depends on the data; keep the mask instead: np.where(mask, x, y), "
           "np.sum(x, where=mask), np.count_nonzero(mask), np.argmax(mask) for the first of them")
_SETS = "how many there are depends on the data; keep the shape, and use np.isin(a, b) as a mask"

_CURES = {
    "a boolean mask": _MASKED,
    "the condition of np.compress": _MASKED,
    "the condition of np.extract": _MASKED,
    "the mask of np.place": _MASKED,
    "the places of np.delete": _MASKED,
    "np.argwhere": _PLACES,
    "np.flatnonzero": _PLACES,
    "np.nonzero": _PLACES,
    "nonzero()": _PLACES,
    "np.where(condition)": _PLACES,
    "np.unique": "how many there are depends on the data; np.sort(x) keeps the shape, and "
                 "np.diff(np.sort(x)) != 0 tells where a new value begins",
    "np.intersect1d": _SETS,
    "np.setdiff1d": _SETS,
    "np.setxor1d": _SETS,
    "np.roots": "leading zeros leave fewer roots; where p[0] is not zero, take "
                "np.linalg.eigvals(np.vstack([-p[1:] / p[0], np.eye(n - 1, n)]) + 0j), where n "
                "is p.size - 1",
    "np.trim_zeros": "how many zeros there are depends on the data; leave them in",
    "the repeats of np.repeat": "its length depends on the data; pass them as a constant, or with "
                                "an index array that has a fixed length, np.take(x, places)",
    "an index": "a plain array takes one from data as np.take(a, i) of `from sciad import "
                "numpy as np`; a shape or the end of a range is fixed while recording",
    "np.asarray(x, dtype=...)": "leave the conversion out, or write x.astype(...); np.asarray and "
                                "np.take of `from sciad import numpy as np` take x",
    "float(x)": "leave x as it is, and take NumPy's functions (np.sin, not math.sin)",
    "complex(x)": "x * (1 + 0j) is one",
    "int()": "x.astype(int) stays a value of the program",
}


def cure_of(purpose: str) -> str:
    """What to write in place of what asks for the data of a recorded value; empty if unknown."""
    known = _CURES.get(purpose)
    return f"; {known}" if known else ""
