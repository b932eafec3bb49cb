"""Compiled functions in files: `Jitted.save` and `load_compiled`.

A file is a line that says what it is, the SHA-256 digest of the rest, and a zip archive:

    manifest.json    name, version, machine, and for each signature the structure of its arguments
                     and results, its graph, the exceptions it may raise
    arrays/N.npy     constants, captured numbers and arrays
    code/N.o         the object file of a signature

An object file is used where the CPU, its features, LLVM, Python and sciad are those that it was
made with; elsewhere the graph is compiled anew, or evaluated. Reading runs no code of the file's:
nothing is pickled. Calling runs its machine code, so a file deserves the trust of a library.
"""

from __future__ import annotations

import hashlib
import inspect
import io
import json
import os
import platform
import sys
import tempfile
import warnings
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from sciad.compiler import llvm
from sciad.compiler.arguments import (
    OF_ANOTHER_ORDER,
    Call,
    Static,
    quick_signature,
    with_static,
)
from sciad.compiler.by_value import content
from sciad.compiler.environment import Environment
from sciad.compiler.native import Native
from sciad.compiler.orders import Orders
from sciad.compiler.serial import Reader, SaveError, Writer
from sciad.compiler.specialise import Given, Options, Specialisation
from sciad.compiler.symbols import MissingSymbol
from sciad.core import tree
from sciad.core.array import Array, unwrap_plain
from sciad.core.errors import ArgumentError, BoundsError
from sciad.core.graph import Graph, Type
from sciad.core.version import VERSION
from sciad.ops.control import BufferFull

_MAGIC = b"sciad compiled function 1\n"
_DIGEST = 32


def machine() -> str:
    """What an object file is tied to."""
    parts = [VERSION, platform.system(), platform.machine(), sys.implementation.cache_tag,
             np.__version__.partition(".")[0], llvm.signature() if llvm.available() else "none"]
    return " ".join(map(str, parts))


# --- writing --------------------------------------------------------------------------------------


def save(path: Any, jitted: Any) -> None:
    """Write what a jitted function was compiled for (see `Jitted.save`)."""
    environment = Environment(jitted.f)
    if any(type(x) is Array for x in environment.leaves):
        raise SaveError("save: the function reaches a value that is being differentiated; save "
                        "it outside the transform")
    present = [found for key, found in jitted._known.items()
               if key[2] == environment.key and _as_now(found, environment)]
    if not present:
        raise SaveError("save: nothing was compiled yet; call the function first, or give save "
                        "the arguments: save(path, x)")
    name = getattr(jitted.f, "__name__", "function")
    writer, codes = Writer(), []
    signatures = [_signature(found, environment, writer, codes) for found in present]
    manifest = {
        "name": name, "machine": machine(), "doc": inspect.getdoc(jitted.f),
        "parameters": _parameters(jitted.f), "static": list(jitted.static_argnames),
        "signatures": signatures, "arrays": len(writer.arrays),
    }
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("manifest.json", json.dumps(manifest))
        for k, array in enumerate(writer.arrays):
            with archive.open(f"arrays/{k}.npy", "w") as file:
                np.save(file, array, allow_pickle=False)
        for k, code in enumerate(codes):
            archive.writestr(f"code/{k}.o", code)
    data = content.getvalue()
    _replace(Path(path), _MAGIC + hashlib.sha256(data).digest() + data)


def _as_now(found: Specialisation, environment: Environment) -> bool:
    """Whether what counts by value of what is captured is what it was."""
    return all(content(environment.leaves[k]) == value
               for k, value in found.given.constants.items())


def _replace(path: Path, content: bytes) -> None:
    """Write a file whole, or leave what is there."""
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=path.name)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
        os.replace(temporary, path)
    except BaseException:
        os.unlink(temporary)
        raise


def _parameters(f: Callable) -> list:
    try:
        parameters = inspect.signature(f).parameters.values()
    except (TypeError, ValueError):
        return []
    return [[p.name, p.kind.name, p.default is not p.empty] for p in parameters]


def _signature(found: Specialisation, environment, writer: Writer, codes: list[bytes]) -> dict:
    if found.options.device != "cpu":
        raise SaveError(f"save: code for the device {found.options.device!r} cannot be saved")
    given = found.given
    return {
        "graph": writer.graph(found.graph),
        "captured": writer.values(environment.leaves),
        "structure": writer.structure(given.structure),
        "fixed": [[k, writer.value(x), k in given.marked] for k, x in given.fixed.items()],
        "results": writer.structure(found.structure),
        "writes": found.writes,
        "differentiates": found.differentiates,
        "fastmath": found.options.fastmath,
        "code": _code(found, writer, codes),
    }


def _code(found: Specialisation, writer: Writer, codes: list[bytes]) -> dict | None:
    """The machine code of a signature; None where it holds addresses of this process, or there is
    none, so that the graph is compiled where it is loaded."""
    kernel = found.kernel
    if kernel is None or kernel.lowered.owners or kernel.lowered.callbacks:
        return None
    lowered, library, entry = kernel.lowered, kernel.library, kernel.entry
    codes.append(library.object())
    return {
        "number": len(codes) - 1, "entry": [entry.function, entry.params, entry.results,
                                            entry.nogil],
        "constants": [writer.array(np.asarray(x)) for x in lowered.constants],
        "statuses": [writer.exception(x) for x in lowered.statuses],
        "exports": library.exports, "imports": list(library.imports),
    }


# --- reading --------------------------------------------------------------------------------------


def load_compiled(path: Any) -> LoadedFunction:
    """A compiled function from a file that `save` wrote.

    It runs with neither the source of the function nor recording it. On another CPU, or with
    another version of sciad, its graph is compiled anew; without native code (``SCIAD_JIT=0``) the
    graph is evaluated.

    Parameters
    ----------
    path : str or path
        The file. It holds machine code: load only what you trust.

    Returns
    -------
    LoadedFunction
        Called as the function was. It takes the kinds of arguments that were saved, and
        differentiates.

    Raises
    ------
    SaveError
        If the file is damaged or none of sciad's, or refers to what is not to be had here.

    Examples
    --------
    >>> import os, tempfile
    >>> import numpy as np
    >>> import sciad
    >>> path = os.path.join(tempfile.mkdtemp(), "norm.sciad")
    >>> sciad.jit(lambda x: np.sqrt(np.sum(x * x))).save(path, np.zeros(2))
    >>> norm = sciad.load_compiled(path)
    >>> float(norm(np.array([3.0, 4.0])))
    5.0
    >>> sciad.grad(norm)(np.array([3.0, 4.0]))
    array([0.6, 0.8])
    """
    content = Path(path).read_bytes()
    if not content.startswith(_MAGIC):
        raise SaveError(f"load_compiled: {path} is no file that this version of sciad's save wrote")
    digest, data = content[len(_MAGIC):len(_MAGIC) + _DIGEST], content[len(_MAGIC) + _DIGEST:]
    if hashlib.sha256(data).digest() != digest:
        raise SaveError(f"load_compiled: {path} is damaged: its digest does not match its content")
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        manifest = json.loads(archive.read("manifest.json"))
        arrays = [np.load(io.BytesIO(archive.read(f"arrays/{k}.npy")), allow_pickle=False)
                  for k in range(manifest["arrays"])]
        for array in arrays:
            array.flags.writeable = False
        native = llvm.available() and manifest["machine"] == machine()
        reader = Reader(arrays)
        saved = [_restored(signature, reader, archive, manifest["name"], native)
                 for signature in manifest["signatures"]]
    return LoadedFunction(manifest, saved)


def _restored(signature: dict, reader: Reader, archive, name: str, native: bool) -> _Saved:
    graph = reader.graph(signature["graph"]["graph"])
    fixed = {k: reader.value(x) for k, x, _ in signature["fixed"]}
    marked = frozenset(k for k, _, mark in signature["fixed"] if mark)
    captured = reader.values(signature["captured"])
    given = Given(reader.structure(signature["structure"]), fixed, len(captured), marked)
    found = Specialisation(graph, reader.structure(signature["results"]), given,
                           Options(signature["fastmath"]), signature["writes"])
    found.differentiates = signature["differentiates"]
    code = signature["code"]
    if native and code is not None:
        found.kernel = _kernel(graph, code, reader, archive)
    if found.kernel is None:
        found.compile(f"py_{name}" if name.isidentifier() and name.isascii() else "py_loaded")
    return _Saved(found, captured)


def _kernel(graph: Graph, code: dict, reader: Reader, archive) -> Native | None:
    """The kernel of an object file; None where it, or a function that it calls, does not load."""
    function, params, results, nogil = code["entry"]
    entry = llvm.Entry(function, tuple(params), tuple(results), nogil)
    try:
        library = llvm.Linked(archive.read(f"code/{code['number']}.o"), code["exports"],
                              code["imports"])
    except (MissingSymbol, llvm.CompileError):
        return None
    kernel = Native(graph)
    kernel.adopt(library.function(entry), reader.values(code["constants"]),
                 reader.values(code["statuses"]), list(results))
    return kernel


class _Frozen:
    """The environment of a loaded function: what it had captured when it was saved."""

    key = ()
    refusal = ""
    keep = ()
    shared = ()

    def __init__(self, leaves: list):
        self.leaves = leaves


class _Saved:
    """A signature from a file, and what it is known by."""

    def __init__(self, found: Specialisation, captured: list):
        self.found = found
        self.environment: Any = _Frozen(captured)
        given = found.given
        types = iter([var.type for var in found.graph.inputs][given.captured:])
        samples = [_sample(given, k, types) for k in range(given.structure.num_leaves)]
        orders = Orders(tree.unflatten(given.structure, samples))
        call = Call(self.environment, samples, given.structure, True, orders)
        self.static_ints = any(type(x) is int for x in given.fixed.values())
        if not self.static_ints:
            call = Call(self.environment, samples, given.structure, False, orders)
        self.key = _key(call)


def _sample(given: Given, k: int, types) -> Any:
    """An argument of the kind that a signature was saved for."""
    if k in given.fixed:
        return Static(given.fixed[k]) if k in given.marked else given.fixed[k]
    kind: Type = next(types)
    value = np.zeros(kind.shape, kind.dtype)
    return value.item() if kind.weak else value


def _key(call: Call) -> tuple:
    kinds = call.signature[0][call.captured:]
    return tuple(map(_in_any_order, kinds)), call.structure, call.orders.key[0]


def _in_any_order(kind: Any) -> Any:
    """The kind of an argument, however it lies in memory."""
    return kind[:-1] if isinstance(kind, tuple) and kind[-1:] == (OF_ANOTHER_ORDER,) else kind


_STRONG = {float: ((), "d"), int: ((), np.dtype(int).char), complex: ((), "D")}


def _strong(key: tuple) -> tuple:
    """The key with NumPy's scalars for Python's numbers."""
    kinds, structure, orders = key
    return tuple(_STRONG.get(kind, kind) if isinstance(kind, type) else kind
                 for kind in kinds), structure, orders


class LoadedFunction:
    """A compiled function from a file; see `load_compiled`."""

    def __init__(self, manifest: dict, saved: list[_Saved]):
        self.__name__ = self.__qualname__ = manifest["name"]
        self.__doc__ = manifest["doc"] or type(self).__doc__
        self._static = tuple(manifest["static"])
        self.__signature__ = _signature_of(manifest["parameters"])
        self._saved = {each.key: each for each in saved}
        self._loose = {_strong(each.key): each for each in saved}
        self._ways = sorted({each.static_ints for each in saved})
        self._warned = False
        self._fast: dict[tuple, Callable] = {}

    def __repr__(self):
        return f"<loaded {self.__name__}: {len(self._saved)} signatures>"

    def __call__(self, *args, **kwargs):
        if not kwargs:
            fast = self._fast.get(tuple([quick_signature(x) for x in args]))
            if fast is not None:
                return fast(args)
        return self._call(args, kwargs)

    def _remember(self, saved: _Saved, args: tuple) -> None:
        """Let later calls with plain arguments of this kind go straight to the kernel."""
        key = tuple([quick_signature(x) for x in args])
        found, captured = saved.found, saved.environment.leaves

        def fast(args):
            found.calls += 1
            try:
                outs = found.kernel(*captured, *args)
            except BufferFull as error:
                raise self._full(error) from None
            except BoundsError as error:
                raise _exactly(error, found.graph, (*captured, *args)) from None
            return outs[0] if found.single else tree.unflatten(found.structure, outs)

        if None not in key and found.plain and not found.differentiates and not self._static:
            self._fast[key] = fast

    def _call(self, args, kwargs):
        saved, call = self._find(args, kwargs)
        found = saved.found
        if found.writes and call.overlaps(found.writes):
            raise ArgumentError(f"{self.__name__} writes into an array that is reached in two "
                                "ways; pass a copy")
        found.calls += 1
        leaves = [*saved.environment.leaves, *call.leaves]
        try:
            outs = found.run(leaves, call.traced)
        except BufferFull as error:
            raise self._full(error) from None
        except BoundsError as error:
            raise _exactly(error, found.graph, leaves) from None
        if found.differentiates and not call.traced and found.any_nan(outs):
            self._warn_of_nan()
        if found.kernel is not None and not call.traced and not kwargs:
            self._remember(saved, args)
        outs = found.write_back(outs, [*saved.environment.leaves, *call.own])
        return tree.unflatten(found.structure, [unwrap_plain(x) for x in outs])

    def _full(self, error: BufferFull) -> SaveError:
        return SaveError(f"{self.__name__}: {error}; save it after a call that needs so many")

    def _warn_of_nan(self):
        if not self._warned:
            self._warned = True
            warnings.warn(f"{self.__name__}: a gradient holds a NaN; where it comes of entries "
                          "that a selection dropped, the function itself gives zero, which needs "
                          "its source", RuntimeWarning, stacklevel=3)

    def _find(self, args, kwargs) -> tuple[_Saved, Call]:
        if self._static:
            args, kwargs = with_static(self, self._static, args, kwargs)
        given, structure = tree.flatten((args, kwargs))
        orders = Orders((args, kwargs))
        for static_ints in self._ways:
            call = Call(_NOTHING, given, structure, static_ints, orders)
            key = _key(call)
            saved = self._saved.get(key) or self._loose.get(_strong(key))
            if saved is not None:
                return saved, call
        known = "; ".join(_told(each) for each in self._saved.values())
        raise ArgumentError(f"{self.__name__} was not saved for arguments of this kind: "
                            f"{_told_kinds(_key(call))}; it was for {known}")


def _exactly(error: BoundsError, graph: Graph, leaves) -> BoundsError:
    """The error of an index, with what NumPy says of it."""
    try:
        graph(*leaves)
    except IndexError as exact:
        place = str(error).partition(" (at ")[2]
        return BoundsError(f"{exact} (at {place}")
    return error


_NOTHING: Any = _Frozen([])


def _signature_of(parameters: list) -> inspect.Signature:
    kinds = inspect._ParameterKind
    return inspect.Signature([
        inspect.Parameter(name, kinds[kind], default=None if has else inspect.Parameter.empty)
        for name, kind, has in parameters])


def _told(saved: _Saved) -> str:
    return _told_kinds(saved.key)


def _told_kinds(key: tuple) -> str:
    """Kinds of arguments in words."""
    kinds, structure, _ = key
    leaves = [kind.__name__ if isinstance(kind, type) else str(kind) for kind in kinds]
    return str(tree.unflatten(structure, [_Word(text) for text in leaves]))


class _Word:
    """A text that prints without quotes."""

    def __init__(self, text: str):
        self.text = text

    def __repr__(self):
        return self.text
