"""Loop IR -> machine code.

``compile_module`` renders a module to LLVM text, compiles it (or takes the object from the cache)
and links it; ``entry`` makes a Python function of one loop function.

Measured on straight-line code: parsing is cheap; the optimiser takes a third and the code generator
two thirds of the time.  The SLP vectoriser doubles the optimiser's share without gain on scalar
models, so it runs only on modules below ``SLP_LINES`` lines of text; and code generation at level 1
saves a fifth where that counts, above ``LONG_LINES``.  Above ``HUGE_LINES`` it is the fast
instruction selection of level 0, an eighth of the time for code that runs at half the speed; it
keeps values on the stack, hence only for modules whose functions are short.  With more than
``MANY_LOOPS`` loops, as an unrolled time loop over arrays has, LLVM's loop passes take time
quadratic in their number; such modules get the linear passes only.
"""

import ctypes
import importlib
import os
import sys
import threading
import time
import weakref
from functools import lru_cache
from typing import Any

from sciad.compiler import cache, loops, mathlib, symbols, threads
from sciad.compiler.calling import (
    EXTERNALS,
    Entry,
    builtin,
    check_entry,
    declarations,
    entry_text,
    foreign,
    layout_known,
)
from sciad.compiler.render import Host, render
from sciad.core.errors import SciadError

__all__ = ["Entry", "Library", "Linked", "available", "compile_module", "entry", "host",
           "signature"]

SLP_LINES = 200
LONG_LINES = 1000
HUGE_LINES = 30000
MANY_LOOPS = 150
_lock = threading.RLock()
_libraries: weakref.WeakValueDictionary[str, "Library"] = weakref.WeakValueDictionary()


class CompileError(SciadError):
    """LLVM refused a module; a fault in sciad."""


@lru_cache(maxsize=1)
def _llvm() -> Any:
    """llvmlite; None where this platform has no wheel of it (sciad then runs without native
    code)."""
    try:
        return importlib.import_module("llvmlite.binding")
    except ImportError:
        return None


class _Machine:
    """LLVM, set up for this machine: made once, at the first compilation."""

    def __init__(self):
        _llvm().initialize_native_target()
        _llvm().initialize_native_asmprinter()
        self.target = _llvm().Target.from_default_triple()
        self.cpu = _llvm().get_host_cpu_name()
        self.features = _llvm().get_host_cpu_features()
        self.signature = f"{_llvm().llvm_version_info} {self.cpu} {self.features.flatten()}"
        self.target_machines = {level: self.make_target_machine(level) for level in (0, 1, 2)}
        self.jit = _llvm().create_lljit_compiler(self.make_target_machine(2), use_jit_link=True)
        self.host = Host(
            fma=bool(self.features.get("fma", self.target.name.startswith("aarch64"))),
            vector_width=512 if self.features.get("avx512f") else 0,
            vector_functions={**symbols.vector_functions(self.features),
                              **mathlib.vector_functions(self.features)},
            aligned=os.name != "nt",
            threads=threads.available(),
            huge=sys.platform == "linux",
        )
        self.count = 0
        self.own: dict[str, Library] = {}

    def make_target_machine(self, level: int):
        return self.target.create_target_machine(
            cpu=self.cpu, features=self.features.flatten(), opt=level,
            reloc="pic", codemodel="small", jit=True,
        )  # fmt: skip

    def target_machine(self, text: str):
        """The code generator for a module of this length."""
        lines = text.count("\n")
        if lines > HUGE_LINES and _longest(text) < 6 * LONG_LINES:
            return self.target_machines[0]
        return self.target_machines[1 if lines > LONG_LINES else 2]

    def optimise(self, text: str):
        """Parse and optimise; gives the LLVM module and the seconds of both."""
        start = time.perf_counter()
        try:
            module = _llvm().parse_assembly(text)
        except RuntimeError as error:
            raise CompileError(f"LLVM cannot read a module of sciad's: {error}\n{text}") from error
        parsed = time.perf_counter()
        if text.count(" = phi ") > MANY_LOOPS:
            self._tidy(module)
            return module, parsed - start, time.perf_counter() - parsed
        options = _llvm().create_pipeline_tuning_options(2)
        options.loop_vectorization = options.loop_interleaving = options.loop_unrolling = True
        options.slp_vectorization = text.count("\n") < SLP_LINES
        builder = _llvm().create_pass_builder(self.target_machine(text), options)
        builder.getModulePassManager().run(module, builder)
        if "\ndefine internal <" in text:  # the vector functions, which vectorised loops now call
            inliner = _llvm().create_new_module_pass_manager()
            inliner.add_always_inliner_pass()
            inliner.run(module, builder)
        return module, parsed - start, time.perf_counter() - parsed

    def _tidy(self, module) -> None:
        """The passes that are linear in the number of loops."""
        passes = _llvm().create_new_module_pass_manager()
        passes.add_sroa_pass()
        passes.add_instruction_combine_pass()
        passes.add_simplify_cfg_pass()
        passes.add_dead_code_elimination_pass()
        options = _llvm().create_pipeline_tuning_options(2)
        passes.run(module, _llvm().create_pass_builder(self.target_machines[1], options))

    def link(self, data: bytes, exports: list[str], imports: list[str]):
        """Load an object file; gives LLVM's tracker, which holds the addresses."""
        addresses = {name: self.address(name) for name in imports}
        self.count += 1
        unit = _llvm().JITLibraryBuilder().add_object_img(data).add_current_process()
        for name, place in addresses.items():
            unit.import_symbol(name, place)
        for name in exports:
            unit.export_symbol(name)
        return unit.link(self.jit, f"sciad.{self.count}")


    def address(self, name: str) -> int:
        """Where a symbol is; functions of `mathlib`, and the pool of threads, are compiled when
        first wanted."""
        if name == threads.SYMBOL and name not in self.own:
            pool = Library(None, threads.pool_text(), threads.EXPORTS, threads.IMPORTS, {})
            self.own[name] = pool
            symbols.register(name, pool.address(name))
            threads.loaded(pool.address)
        if name.startswith(mathlib.PREFIX) and name not in self.own:
            text, imports = mathlib.module(name)
            self.own[name] = Library(None, text, [name], imports, {})
            symbols.register(name, self.own[name].address(name))
        return symbols.address(name)


def _longest(text: str) -> int:
    """The lines of the longest function of a module, but for the addresses that are computed
    where they are used and take no place on the stack."""
    bodies = [part.split("\n}", 1)[0] for part in text.split("\ndefine ")]
    return max(body.count("\n") - body.count(" = getelementptr inbounds i8,") for body in bodies)


@lru_cache(maxsize=1)
def _machine() -> _Machine:
    with _lock:
        return _Machine()


@lru_cache(maxsize=1)
def _works() -> bool:
    if _llvm() is None:
        return False
    try:
        _machine()
    except RuntimeError:  # llvmlite was built without this machine's target
        return False
    return True


if os.environ.get("SCIAD_JIT", "1") != "0":
    _llvm()  # with the compiler, which is itself imported late: the first call need not wait


def available() -> bool:
    """Whether this process can compile (``SCIAD_JIT=0`` says no)."""
    return os.environ.get("SCIAD_JIT", "1") != "0" and _works()


def host() -> Host:
    """What the renderer is told about this machine."""
    return _machine().host


def features() -> dict[str, bool]:
    """What this machine's processor has, by LLVM's names."""
    return _machine().features


class Library:
    """A module in memory.  Its code is unloaded when the last reference goes.

    Attributes
    ----------
    text : the LLVM text as rendered
    cached : whether the object came from the disk
    seconds : time by stage: render, read, parse, optimise, emit, link
    """

    def __init__(self, module: loops.Module | None, text: str, exports, imports, seconds):
        machine = _machine()
        self.module, self.text, self.seconds = module, text, seconds
        self.exports, self.imports = exports, imports
        self.method_definitions: list = []
        start = time.perf_counter()
        name = cache.key(text, machine.signature)
        data = cache.read(name)
        seconds["read"] = time.perf_counter() - start
        self._tracker = None if data is None else self._linked(machine, data)
        self.cached = self._tracker is not None
        if self._tracker is None:
            data = self._compile(machine)
            cache.write(name, data)
            self._tracker = self._linked(machine, data)
        if self._tracker is None:
            raise CompileError("LLVM cannot link a module of sciad's") from self._fault

    def _linked(self, machine: _Machine, data: bytes):
        """LLVM's tracker of the object; None where it is none that can be linked."""
        start = time.perf_counter()
        try:
            return machine.link(data, self.exports, self.imports)
        except RuntimeError as error:
            self._fault = error
            return None
        finally:
            self.seconds["link"] = time.perf_counter() - start

    def object(self) -> bytes:
        """The object file."""
        with _lock:
            machine = _machine()
            return cache.read(cache.key(self.text, machine.signature)) or self._compile(machine)

    def _compile(self, machine: _Machine) -> bytes:
        unit, self.seconds["parse"], self.seconds["optimise"] = machine.optimise(self.text)
        start = time.perf_counter()
        data = machine.target_machine(self.text).emit_object(unit)
        self.seconds["emit"] = time.perf_counter() - start
        return data

    def address(self, name: str) -> int:
        """Where the function ``name`` is."""
        return self._tracker[name]

    def function(self, entry: Entry):
        """The Python function of an entry that this module was compiled with."""
        return _function(self, entry)

    def optimised_text(self) -> str:
        """The LLVM text after optimisation."""
        with _lock:
            return str(_machine().optimise(self.text)[0])

    def assembly(self) -> str:
        """The machine code as assembly text."""
        with _lock:
            machine = _machine()
            unit, _, _ = machine.optimise(self.text)
            return machine.target_machine(self.text).emit_assembly(unit)


class Linked:
    """An object file compiled earlier, in memory as long as it is referred to."""

    def __init__(self, data: bytes, exports: list[str], imports: list[str]):
        self.method_definitions: list = []
        with _lock:
            try:
                self._tracker = _machine().link(data, exports, imports)
            except RuntimeError as error:
                raise CompileError(f"LLVM cannot link an object file: {error}") from error

    def address(self, name: str) -> int:
        """Where the function ``name`` is."""
        return self._tracker[name]

    def function(self, entry: Entry):
        """The Python function of an entry."""
        return _function(self, entry)


def _function(library, entry: Entry):
    if layout_known():
        return builtin(library.address(entry.symbol), entry.function, library)
    return foreign(library.address(entry.function), entry, library)


def signature() -> str:
    """What machine code depends on besides its text: LLVM's version, the CPU and its features."""
    return _machine().signature


def plain_library(text: str, exports: list[str], imports: list[str]) -> Library:
    """A module of LLVM text, in memory for the rest of the process."""
    with _lock:
        machine = _machine()
        library = Library(None, text, exports, imports, {})
        machine.own[exports[0]] = library
        for each in (machine, machine.jit, library, library._tracker):
            ctypes.pythonapi.Py_IncRef(ctypes.py_object(each))
        return library


def compile_module(module: loops.Module, entries: tuple[Entry, ...] = ()) -> Library:
    """Compile a module and its entries; modules of the same text share one Library."""
    if not available():
        raise SciadError(
            "native code is not available here (SCIAD_JIT=0, or llvmlite lacks this machine)"
        )
    with _lock:
        start = time.perf_counter()
        text, imports = render(module, _machine().host)
        exports = [f.name for f in module.functions if f.inline != "always"]
        if entries:
            params = {f.name: f.params for f in module.functions}
            lines = declarations()
            for each in entries:
                check_entry(each, params[each.function])
                lines += entry_text(each)
                exports.append(each.symbol)
            text += "\n".join(lines) + "\n"
            imports += EXTERNALS
        seconds = {"render": time.perf_counter() - start}
        library = _libraries.get(text)
        if library is None:
            library = _libraries[text] = Library(module, text, exports, imports, seconds)
        return library


def entry(function: loops.Function, params, results=(), nogil: bool = False, others=()):
    """Compile ``function`` and give it as a Python function.

    ``params`` and ``results`` are the kinds of ``Entry``; ``others`` are the functions it calls.
    """
    described = Entry(function.name, tuple(params), tuple(results), nogil)
    library = compile_module(loops.Module([function, *others], function.name), (described,))
    return library.function(described)
