"""The public names, and that each of them is in the reference."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

import sciad
import sciad.ode
import sciad.optimize
import sciad.random

REFERENCE = Path(__file__).parents[1] / "docs" / "reference"

NAMES = {
    sciad: """Array FallbackWarning LongProgramWarning RecompilationWarning SciadError cache
        check_grads checkpoint cond custom_rule debug_nans fori_loop grad gradient_hook hessian hvp
        jacobian jit jvp linearize load_compiled patch_numpy ravel register scan sparsity
        stop_gradient threads value_and_grad vjp vmap while_loop wirtinger""",
    sciad.random: """Key bernoulli beta categorical choice exponential fold_in gamma gumbel integers
        key multivariate_normal normal permutation relaxed_categorical split uniform""",
    sciad.ode: "OdeResult RK45 SolveError TSIT5 Tableau solve_ivp",
    sciad.optimize: "Adam AdamState least_squares",
}


def by_name(module):
    return module.__name__


@pytest.mark.parametrize("module", NAMES, ids=by_name)
def test_the_public_names_are_these(module):
    assert sorted(module.__all__) == sorted(NAMES[module].split())


@pytest.mark.parametrize("module", NAMES, ids=by_name)
def test_public_names_exist_and_say_what_they_are(module):
    for name in module.__all__:
        assert getattr(module, name).__doc__, name


def entries(page):
    """Names listed in the autosummaries of a page of the reference."""
    blocks = re.findall(r"^\.\. autosummary::\n((?:(?: .*)?\n)*)", page.read_text(), re.MULTILINE)
    return {name for block in blocks for name in re.findall(r"^   (\w+)$", block, re.MULTILINE)}


def test_the_reference_holds_every_name_of_sciad():
    assert set(sciad.__all__) <= entries(REFERENCE / "transforms.rst")


@pytest.mark.parametrize("module", [sciad.ode, sciad.optimize], ids=by_name)
def test_the_reference_holds_every_class_and_function(module):
    page = REFERENCE / f"{module.__name__.removeprefix('sciad.')}.rst"
    public = {name for name in module.__all__ if callable(getattr(module, name))}
    assert public <= entries(page)


@pytest.mark.parametrize("first", ["sciad.compiler", "sciad.compiler.recent", "sciad.cache"])
def test_the_compiler_is_read_when_it_is_first_asked_for(first):
    program = (f"import sys, sciad; assert 'sciad.compiler' not in sys.modules; import {first}; "
               "print(sciad.compiler.jit.Jitted.__name__, sciad.LongProgramWarning.__name__)")
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True,
                          check=False)
    assert done.stdout == "Jitted LongProgramWarning\n", done.stderr


def test_the_warnings_are_those_of_the_compiler():
    for name in ("FallbackWarning", "LongProgramWarning", "RecompilationWarning"):
        assert issubclass(getattr(sciad, name), UserWarning)
