"""The directives ``.. differentiates:: FAMILY``, ``.. makers::`` and others: what has a derivative.

Both are made when the pages are built, from the tables in which the package itself looks up the
meaning of a function. Each function is called (`_probes`), and those that answer alike share a row.
"""

import functools
from collections import defaultdict

import numpy as np
import scipy.special
from _probes import Finding, arguments, find
from docutils import nodes
from sphinx.util.docutils import SphinxDirective

import sciad.numpy
import sciad.special
from sciad.core.array import FUNCTIONS, UFUNC_METHODS, UFUNCS, Array

FAMILIES = {
    "arranging": ("shaping", "arranging", "joining", "padding", "creation"),
    "picking": ("selection", "picking", "sorting", "sets", "asking"),
    "reductions": ("reductions", "nans", "quantiles", "histograms"),
    "products": ("products",),
    "calculus": ("calculus", "polynomials", "making", "emath"),
    "linalg": ("linalg", "norms"),
    "fft": ("fft",),
}
"""Modules of `sciad.numpy` that a table shows."""

ALIASES = {
    "amax": "reductions", "amin": "reductions", "around": "reductions",
    "polyval2d": "polynomials",
}
"""Functions that NumPy's own code serves, with the family of what they call."""


def home(function, rule):
    """The module of `sciad.numpy` that declares it."""
    return ALIASES.get(function.__name__) or rule.__module__.removeprefix("sciad.numpy.")


def members(family):
    """Functions of a family by the name that shows in its table."""
    if family == "ufuncs":
        return {f.__name__: f for f in UFUNCS if getattr(np, f.__name__, None) is f}
    if family == "special":
        return {name: getattr(sciad.special, name) for name in sciad.special.__all__}
    modules = FAMILIES[family]
    return {short_name(f): f for f, rule in FUNCTIONS.items() if home(f, rule) in modules}


def full_name(function):
    return f"{function.__module__}.{function.__name__}"


def short_name(function):
    name = full_name(function)
    for prefix, short in (("numpy.lib.scimath.", "emath."), ("numpy.lib.stride_tricks.", ""),
                          ("numpy.polynomial.polynomial.", "polynomial."), ("numpy.", "")):
        if name.startswith(prefix):
            return short + name.removeprefix(prefix)
    return name


@functools.cache
def findings(family) -> dict[str, Finding]:
    prefix = {"special": "special.", "ufuncs": "numpy."}.get(family)
    return {name: find(prefix + name if prefix else full_name(function), function)
            for name, function in members(family).items()}


def rows(found):
    """Names that answer alike, those that do most first."""
    groups = defaultdict(list)
    for name, finding in found.items():
        groups[answers(finding)].append(name)
    rank = {"yes": "0", "value only": "1", "called back": "2", "no": "3", "–": "4"}
    order = sorted(groups, key=lambda a: (a[0] != "yes", a[0], rank[a[2]], a[1]))
    return [(sorted(groups[answer]), *answer) for answer in order]


def answers(finding):
    """The words of a row: derivative, complex numbers, machine code."""
    if finding.derivative == "raises":
        return "raises", "–", "–"
    derivative = finding.derivative
    if finding.modes not in ("", "both"):
        derivative += f", in {finding.modes} mode only"
    if finding.fixed:
        derivative += f", except by the {ordinals(finding.fixed)}"
    turned = "" if derivative == "constant" else finding.complex
    return derivative, turned or "–", finding.compiled


def ordinals(places):
    """Arguments in words."""
    if len(places) > 1 and places == tuple(range(len(places))):
        return f"first {('two', 'three', 'four')[len(places) - 2]} arguments"
    return " and ".join(("first", "second", "third", "fourth")[k] for k in places) + " argument"


def table(head, body, widths):
    """A docutils table; lists become names in a row, texts stay texts."""
    group = nodes.tgroup(cols=len(head))
    group += [nodes.colspec(colwidth=width) for width in widths]
    group += nodes.thead("", row([[nodes.Text(text)] for text in head]))
    group += nodes.tbody("", *(row([cell_nodes(cell) for cell in cells]) for cells in body))
    return nodes.table("", group, classes=["differentiates"])


def row(cells):
    return nodes.row("", *(nodes.entry("", nodes.paragraph("", "", *cell)) for cell in cells))


def cell_nodes(cell):
    return [nodes.Text(cell)] if isinstance(cell, str) else names(cell)


def names(listed):
    """Names as code, a space between them."""
    out = []
    for name in listed:
        out += [nodes.literal(text=name), nodes.Text(" ")]
    return out


class Differentiates(SphinxDirective):
    """A family's table; the content, if any, names the functions to show."""

    required_arguments = 1
    has_content = True

    def run(self):
        found = findings(self.arguments[0])
        chosen = " ".join(self.content).split()
        shown = self.env.temp_data.setdefault("differentiates", set())
        if chosen == ["others"]:
            chosen = [name for name in found if name not in shown]
        missing = set(chosen) - set(found)
        if missing:
            raise self.error(f"{self.arguments[0]} has no {', '.join(sorted(missing))}")
        shown.update(chosen)
        body = rows({name: found[name] for name in chosen or found})
        return [table(("", "derivative", "complex", "compiles"), body, (64, 18, 9, 9))]


class UfuncMethods(SphinxDirective):
    """Which ufuncs differentiate through ``reduce`` and its siblings."""

    def run(self):
        by_method, own = defaultdict(list), findings("ufuncs")
        for ufunc, method in UFUNC_METHODS:
            name, function = f"{method}.{ufunc.__name__}", getattr(ufunc, method)
            if own[ufunc.__name__].derivative != "yes":
                continue
            if arguments(name, function) and find(name, function).derivative == "yes":
                by_method[method].append(ufunc.__name__)
        body = [([f".{method}"], sorted(listed)) for method, listed in by_method.items()]
        return [table(("", "differentiates for"), body, (12, 88))]


class Methods(SphinxDirective):
    """The methods of an Array, those that are functions of the same name first."""

    def run(self):
        public = [name for name in dir(Array) if not name.startswith("_")]
        same = [name for name in public if getattr(np, name, None) in (*UFUNCS, *FUNCTIONS)]
        others = [name for name in public if name not in same]
        body = (["as the functions of their name", same], ["besides", others])
        return [table(("", "methods and attributes"), body, (22, 78))]


class Makers(SphinxDirective):
    """What only ``sciad.numpy`` can offer: NumPy's own never asks the arrays it is given."""

    def run(self):
        listed = [name for name in sorted(sciad.numpy.__all__) if is_maker(name)]
        return [nodes.paragraph("", "", *names(listed))]


def is_maker(name):
    mine, original = getattr(sciad.numpy, name), getattr(np, name, None)
    return callable(mine) and mine is not original and original not in FUNCTIONS


class WithoutRule(SphinxDirective):
    """The functions of `scipy.special` that stand in `sciad.special` for plain values alone."""

    def run(self):
        others = set(scipy.special.__all__) - set(sciad.special.__all__)
        listed = [name for name in sorted(others)
                  if not isinstance(getattr(scipy.special, name), type)]
        return [nodes.paragraph("", "", *names(listed))]


class Counted(SphinxDirective):
    """How many functions the tables hold, and how many of them differentiate."""

    def run(self):
        every = [f for family in ("ufuncs", "special", *FAMILIES)
                 for f in findings(family).values()]
        yes = [f for f in every if f.derivative == "yes"]
        both = sum(f.modes == "both" for f in yes)
        constant = sum(f.derivative == "constant" for f in every)
        raising = len(every) - len(yes) - constant
        text = (f"Of {len(every)} functions, {len(yes)} have a derivative ({both} of these in both "
                f"modes), {constant} are constant, {raising} raise{'s' if raising == 1 else ''} "
                "when differentiated.")
        return [nodes.paragraph(text=text)]


def setup(app):
    app.add_directive("differentiates", Differentiates)
    app.add_directive("ufunc-methods", UfuncMethods)
    app.add_directive("array-methods", Methods)
    app.add_directive("makers", Makers)
    app.add_directive("without-rule", WithoutRule)
    app.add_directive("counted", Counted)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
