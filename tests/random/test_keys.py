"""Keys: the known answers of the cipher, independence, and the same bits everywhere."""

import numpy as np
import pytest
from scipy import stats

import sciad
from sciad import random
from sciad.core.errors import ArgumentError, DTypeError
from sciad.random.threefry import threefry, unit

WORD = 2**32 - 1


def _packed(first, second):
    return np.asarray(np.uint64(first << 32 | second)).astype(np.int64)


KNOWN = [  # the file kat_vectors of Random123: counter, key, result of threefry2x32 with 20 rounds
    ((0, 0), (0, 0), (0x6B200159, 0x99BA4EFE)),
    ((WORD, WORD), (WORD, WORD), (0x1CB996FC, 0xBB002BE7)),
    ((0x243F6A88, 0x85A308D3), (0x13198A2E, 0x03707344), (0xC4923A9C, 0x483DF7A0)),
]


@pytest.mark.parametrize("counter, key, result", KNOWN)
def test_known_answers(counter, key, result):
    assert threefry(_packed(*key), _packed(*counter)) == _packed(*result)
    compiled = sciad.jit(lambda k, c: threefry(k, c), strict=True)
    assert compiled(_packed(*key), _packed(*counter)) == _packed(*result)


def test_bits_are_the_same_compiled(rng):
    keys, counters = (rng.integers(-2**63, 2**63, shape) for shape in ((40, 1), (1, 30)))
    expected = threefry(keys, counters)
    assert expected.shape == (40, 30)
    np.testing.assert_array_equal(sciad.jit(threefry, strict=True)(keys, counters), expected)
    np.testing.assert_array_equal(sciad.jit(unit, strict=True)(expected), unit(expected))


def test_units_are_inside_the_interval():
    ends = unit(np.array([0, -1, 2**63 - 1, -(2**63), 2**12 - 1]))
    assert ends.min() == 2.0**-53 and ends.max() == 1 - 2.0**-53
    assert ends[0] + ends[1] == 1.0


def test_counters_of_different_purpose_never_meet():
    key = random.key(5)
    drawn = random.keys.random_bits(key, 1000)
    split = random.split(key, 1000).bits
    folded = random.fold_in(key, np.arange(1000)).bits
    everything = np.concatenate([drawn, split, folded])
    assert len(np.unique(everything)) == 3000
    np.testing.assert_array_equal(random.fold_in(key, 7).bits, folded[7])
    assert random.fold_in(key, np.int32(7)).bits == folded[7]


def test_split_keys_are_independent():
    draws = np.array([random.uniform(key, shape=2000) for key in random.split(random.key(0), 20)])
    assert stats.kstest(draws.ravel(), "uniform").pvalue > 1e-3
    correlations = np.corrcoef(draws)[np.triu_indices(20, 1)]
    assert np.abs(correlations).max() < 5 / np.sqrt(2000)
    assert stats.kstest(correlations * np.sqrt(2000), "norm").pvalue > 1e-3


def test_bits_are_balanced():
    bits = random.keys.random_bits(random.key(1), 20_000)
    ones = (bits[:, None] >> np.arange(64)) & 1
    deviation = (ones.mean(0) - 0.5) * 2 * np.sqrt(len(bits))
    assert np.abs(deviation).max() < 5


def test_key_is_a_container():
    keys = random.split(random.key(2), 3)
    assert len(keys) == 3 and keys.shape == (3,) and len(list(keys)) == 3
    assert keys[1].shape == () and keys[1:].shape == (2,)
    assert "uint64" in repr(keys)
    a, b, c = keys
    assert len({int(one.bits) for one in (a, b, c)}) == 3


def test_keys_go_through_transforms():
    keys = random.split(random.key(2), 5)

    def walk(x, keys):
        return sciad.scan(lambda c, key: (c * random.normal(key, 1.0), c), x, keys)[0]

    expected = 3.0 * np.prod([random.normal(key, 1.0) for key in keys])
    np.testing.assert_allclose(walk(3.0, keys), expected, rtol=1e-14)
    compiled = sciad.jit(walk, strict=True)
    np.testing.assert_allclose(compiled(3.0, keys), expected, rtol=1e-13)
    np.testing.assert_allclose(sciad.jit(sciad.grad(walk))(3.0, keys), expected / 3, rtol=1e-13)


def test_vmap_over_keys():
    keys = random.split(random.key(2), 5)

    def draw(key):
        return random.normal(random.split(key)[0], 1.0, 2.0, shape=3)

    expected = np.stack([draw(key) for key in keys])
    np.testing.assert_array_equal(sciad.vmap(draw)(keys), expected)
    np.testing.assert_allclose(sciad.jit(sciad.vmap(draw))(keys), expected, rtol=1e-13)


def test_captured_keys_are_inputs():
    key = random.key(0)

    def f(x):
        return random.normal(key, x)

    compiled = sciad.jit(f, strict=True)
    first = compiled(0.0)
    key = random.key(1)
    assert compiled(0.0) != first
    np.testing.assert_allclose(compiled(0.0), f(0.0), rtol=1e-14)


def test_fold_in_a_loop_counter():
    key = random.key(4)

    def total(x):
        def body(state):
            k, value = state
            return k + 1, value + random.uniform(random.fold_in(key, k)) * x

        return sciad.while_loop(lambda state: state[0] < 4, body, (0, 0.0))[1]

    expected = sum(random.uniform(random.fold_in(key, k)) for k in range(4))
    np.testing.assert_allclose(total(1.0), expected, rtol=1e-14)
    np.testing.assert_allclose(sciad.jit(total, strict=True)(1.0), expected, rtol=1e-14)


@pytest.mark.parametrize("call, error, text", [
    (lambda: random.key(1.5), DTypeError, "the seed is a float"),
    (lambda: random.key(-1), ArgumentError, "must lie in 0 <= seed"),
    (lambda: random.key(2**64), ArgumentError, "must lie in 0 <= seed"),
    (lambda: random.split(random.key(0), -1), ArgumentError, "n=-1 is negative"),
    (lambda: random.split(random.key(0), 1.5), DTypeError, "split: n=1.5 is a float"),
    (lambda: random.split(3), DTypeError, r"sciad.random.key\(seed\)"),
    (lambda: random.fold_in(random.key(0), 1.0), DTypeError, "takes integers"),
    (lambda: random.normal(random.split(random.key(0))), ArgumentError, r"keys of shape \(2,\)"),
    (lambda: random.normal(0), DTypeError, "source of random numbers is a int"),
    (lambda: random.normal(np.random), DTypeError, "default_rng"),
    (lambda: random.key(0)[0], DTypeError, "takes no index"),
    (lambda: len(random.key(0)), DTypeError, "no length"),
])
def test_errors(call, error, text):
    with pytest.raises(error, match=text):
        call()
