"""Threads: how many, and the pool that runs the parts of a large loop.

A kernel hands the pool a function over a range; the calling thread and the workers take pieces of
the range, one after the other, until none is left. Pieces are the same whatever the number of
threads, so results are too. The status of the first piece, in the order of the range, that is not
zero comes back; pieces after it may not run.

The pool is LLVM text over POSIX threads, so that no part of a parallel loop touches Python.

- The workers are made when first wanted, sleep on a condition between loops, block all signals
  (Python's handlers belong on its own threads), and are joined when the interpreter exits.
- One loop at a time has the pool: a loop that finds it busy, be it inside another one or called
  on another thread of the program, runs on its own thread.
- A forked child has none of its parent's workers. The process number beside the pool tells: the
  first loop of the child sets everything up anew.

Where there are no POSIX threads, parallel loops run on the calling thread.
"""

from __future__ import annotations

import atexit
import ctypes
import os
import sys

from sciad.core.errors import ArgumentError

MOST = 64
"""Threads that the pool has room for."""

_USUAL = 8
SYMBOL = "sciad_spread"
"""status = sciad_spread(task, context, start, stop, grain, most threads (0: as many as set))"""


def available() -> bool:
    """Whether this platform has what the pool needs."""
    return os.name == "posix" and hasattr(ctypes.pythonapi, "pthread_create")


def _at_start() -> int:
    """`SCIAD_THREADS`, else the cores that this process may use, at most 8."""
    asked = os.environ.get("SCIAD_THREADS", "")
    if asked:
        if not asked.isdecimal() or int(asked) < 1:
            raise ArgumentError(f"SCIAD_THREADS={asked!r} must be a number of threads from 1 on")
        return min(int(asked), MOST)
    affinity = getattr(os, "sched_getaffinity", None)
    cores = len(affinity(0)) if affinity else os.cpu_count() or 1
    return min(cores, _USUAL)


_count = _at_start()
_limit: ctypes.c_int64 | None = None  # the pool's own copy, once it is loaded


def threads(n: int | None = None) -> int:
    """The number of threads that compiled loops may use; with `n`, set it first.

    Large elementwise loops, reductions and `vmap` of compiled functions are shared among threads.
    The number of threads changes no result. At the start it is the value of the environment
    variable ``SCIAD_THREADS``, else the number of cores this process may use, at most 8.

    Parameters
    ----------
    n : int, optional
        Threads from now on, in the whole process, 1 to 64.

    Returns
    -------
    int
        The number in force.

    Examples
    --------
    >>> import sciad
    >>> before = sciad.threads()
    >>> sciad.threads(1)
    1
    >>> sciad.threads(before) == before
    True
    """
    global _count
    if n is not None:
        if type(n) is not int or not 1 <= n <= MOST:
            raise ArgumentError(f"threads takes a number from 1 to {MOST}, got {n!r}")
        _count = n
        if _limit is not None:
            _limit.value = n
    return _count


def loaded(address) -> None:
    """The pool is in memory: `address` gives the place of its symbols."""
    global _limit
    _limit = ctypes.c_int64.from_address(address("sciad_threads"))
    _limit.value = _count
    atexit.register(ctypes.CFUNCTYPE(None)(address("sciad_stop")))


EXPORTS = [SYMBOL, "sciad_stop", "sciad_threads"]
IMPORTS = [
    "getpid", "pthread_create", "pthread_join", "pthread_mutex_init", "pthread_mutex_lock",
    "pthread_mutex_unlock", "pthread_cond_init", "pthread_cond_wait", "pthread_cond_signal",
    "pthread_cond_broadcast", "pthread_sigmask",
]


def pool_text() -> str:
    """The pool as LLVM text."""
    block, restore = (1, 3) if sys.platform == "darwin" else (0, 2)
    return _POOL.replace("BLOCK", str(block)).replace("RESTORE", str(restore)).replace(
        "MOST", str(MOST))


# `tickets`: workers still asked for; `active`: workers on the present loop. The lock guards both,
# `status`, `failed` (the start of the first piece that failed) and the description of the loop;
# `next` is claimed atomically.
_POOL = """
@sciad_threads = global i64 1
@pid = internal global i32 0
@busy = internal global i32 0
@lock = internal global [128 x i8] zeroinitializer, align 64
@ready = internal global [128 x i8] zeroinitializer, align 64
@done = internal global [128 x i8] zeroinitializer, align 64
@ids = internal global [MOST x i64] zeroinitializer
@workers = internal global i64 0
@tickets = internal global i64 0
@active = internal global i64 0
@quit = internal global i64 0
@task = internal global ptr null
@context = internal global ptr null
@stop = internal global i64 0
@grain = internal global i64 0
@next = internal global i64 0, align 64
@failed = internal global i64 0, align 64
@status = internal global i64 0

declare i32 @getpid()
declare i32 @pthread_create(ptr, ptr, ptr, ptr)
declare i32 @pthread_join(i64, ptr)
declare i32 @pthread_mutex_init(ptr, ptr)
declare i32 @pthread_mutex_lock(ptr)
declare i32 @pthread_mutex_unlock(ptr)
declare i32 @pthread_cond_init(ptr, ptr)
declare i32 @pthread_cond_wait(ptr, ptr)
declare i32 @pthread_cond_signal(ptr)
declare i32 @pthread_cond_broadcast(ptr)
declare i32 @pthread_sigmask(i32, ptr, ptr)
declare i64 @llvm.smin.i64(i64, i64)
declare void @llvm.memset.p0.i64(ptr, i8, i64, i1)

define internal void @take() nounwind {
entry:
  %task = load ptr, ptr @task
  %context = load ptr, ptr @context
  %stop = load i64, ptr @stop
  %grain = load i64, ptr @grain
  br label %claim
claim:
  %begin = atomicrmw add ptr @next, i64 %grain monotonic
  %left = icmp slt i64 %begin, %stop
  %failed = load atomic i64, ptr @failed monotonic, align 8
  %before = icmp slt i64 %begin, %failed
  %go = and i1 %left, %before
  br i1 %go, label %run, label %end
run:
  %far = add i64 %begin, %grain
  %last = call i64 @llvm.smin.i64(i64 %far, i64 %stop)
  %status = call i64 %task(ptr %context, i64 %begin, i64 %last)
  %fine = icmp eq i64 %status, 0
  br i1 %fine, label %claim, label %fail
fail:
  %l = call i32 @pthread_mutex_lock(ptr @lock)
  %known = load atomic i64, ptr @failed monotonic, align 8
  %first = icmp slt i64 %begin, %known
  br i1 %first, label %note, label %noted
note:
  store atomic i64 %begin, ptr @failed monotonic, align 8
  store i64 %status, ptr @status
  br label %noted
noted:
  %u = call i32 @pthread_mutex_unlock(ptr @lock)
  br label %claim
end:
  ret void
}

define internal ptr @worker(ptr %nothing) nounwind {
entry:
  %l = call i32 @pthread_mutex_lock(ptr @lock)
  br label %look
look:
  %quit = load i64, ptr @quit
  %leave = icmp ne i64 %quit, 0
  br i1 %leave, label %end, label %ask
ask:
  %tickets = load i64, ptr @tickets
  %idle = icmp eq i64 %tickets, 0
  br i1 %idle, label %sleep, label %join
sleep:
  %w = call i32 @pthread_cond_wait(ptr @ready, ptr @lock)
  br label %look
join:
  %fewer = sub i64 %tickets, 1
  store i64 %fewer, ptr @tickets
  %active = load i64, ptr @active
  %more = add i64 %active, 1
  store i64 %more, ptr @active
  %u = call i32 @pthread_mutex_unlock(ptr @lock)
  call void @take()
  %l2 = call i32 @pthread_mutex_lock(ptr @lock)
  %now = load i64, ptr @active
  %rest = sub i64 %now, 1
  store i64 %rest, ptr @active
  %last = icmp eq i64 %rest, 0
  br i1 %last, label %tell, label %look
tell:
  %s = call i32 @pthread_cond_signal(ptr @done)
  br label %look
end:
  %u2 = call i32 @pthread_mutex_unlock(ptr @lock)
  ret ptr null
}

define internal i1 @own_pool() nounwind {
entry:
  %me = call i32 @getpid()
  %pid = load atomic i32, ptr @pid acquire, align 4
  %ours = icmp eq i32 %pid, %me
  br i1 %ours, label %yes, label %foreign
foreign:
  %setting = icmp eq i32 %pid, -1
  br i1 %setting, label %no, label %claim
claim:
  %pair = cmpxchg ptr @pid, i32 %pid, i32 -1 acq_rel monotonic
  %won = extractvalue { i32, i1 } %pair, 1
  br i1 %won, label %set, label %no
set:
  %i1 = call i32 @pthread_mutex_init(ptr @lock, ptr null)
  %i2 = call i32 @pthread_cond_init(ptr @ready, ptr null)
  %i3 = call i32 @pthread_cond_init(ptr @done, ptr null)
  store i64 0, ptr @workers
  store i64 0, ptr @tickets
  store i64 0, ptr @active
  store i64 0, ptr @quit
  store atomic i32 0, ptr @busy monotonic, align 4
  store atomic i32 %me, ptr @pid release, align 4
  br label %yes
yes:
  ret i1 true
no:
  ret i1 false
}

define internal void @grow(i64 %wanted) nounwind {
entry:
  %all = alloca [128 x i8], align 16
  %kept = alloca [128 x i8], align 16
  %have = load i64, ptr @workers
  %enough = icmp sge i64 %have, %wanted
  br i1 %enough, label %end, label %mask
mask:
  call void @llvm.memset.p0.i64(ptr %all, i8 -1, i64 128, i1 false)
  %m = call i32 @pthread_sigmask(i32 BLOCK, ptr %all, ptr %kept)
  br label %make
make:
  %k = load i64, ptr @workers
  %full = icmp sge i64 %k, %wanted
  br i1 %full, label %unmask, label %one
one:
  %id = getelementptr inbounds i64, ptr @ids, i64 %k
  %failed = call i32 @pthread_create(ptr %id, ptr null, ptr @worker, ptr null)
  %good = icmp eq i32 %failed, 0
  br i1 %good, label %count, label %unmask
count:
  %more = add i64 %k, 1
  store i64 %more, ptr @workers
  br label %make
unmask:
  %m2 = call i32 @pthread_sigmask(i32 RESTORE, ptr %kept, ptr null)
  br label %end
end:
  ret void
}

define i64 @sciad_spread(ptr %task, ptr %context, i64 %start, i64 %stop, i64 %grain, i64 %cap)
    nounwind {
entry:
  %limit = load atomic i64, ptr @sciad_threads monotonic, align 8
  %capped = icmp sgt i64 %cap, 0
  %least = call i64 @llvm.smin.i64(i64 %limit, i64 %cap)
  %most = select i1 %capped, i64 %least, i64 %limit
  %extent = sub i64 %stop, %start
  %up = add i64 %extent, %grain
  %over = sub i64 %up, 1
  %pieces = sdiv i64 %over, %grain
  %count = call i64 @llvm.smin.i64(i64 %most, i64 %pieces)
  %many = icmp sgt i64 %count, 1
  br i1 %many, label %check, label %alone
check:
  %own = call i1 @own_pool()
  br i1 %own, label %claim, label %alone
claim:
  %pair = cmpxchg ptr @busy, i32 0, i32 1 acquire monotonic
  %free = extractvalue { i32, i1 } %pair, 1
  br i1 %free, label %together, label %alone
alone:
  %single = call i64 %task(ptr %context, i64 %start, i64 %stop)
  ret i64 %single
together:
  %l = call i32 @pthread_mutex_lock(ptr @lock)
  %helpers = sub i64 %count, 1
  call void @grow(i64 %helpers)
  store ptr %task, ptr @task
  store ptr %context, ptr @context
  store i64 %stop, ptr @stop
  store i64 %grain, ptr @grain
  store atomic i64 %start, ptr @next monotonic, align 8
  store atomic i64 9223372036854775807, ptr @failed monotonic, align 8
  store i64 0, ptr @status
  store i64 %helpers, ptr @tickets
  %b = call i32 @pthread_cond_broadcast(ptr @ready)
  %u = call i32 @pthread_mutex_unlock(ptr @lock)
  call void @take()
  %l2 = call i32 @pthread_mutex_lock(ptr @lock)
  store i64 0, ptr @tickets
  br label %wait
wait:
  %active = load i64, ptr @active
  %over2 = icmp eq i64 %active, 0
  br i1 %over2, label %end, label %sleep
sleep:
  %w = call i32 @pthread_cond_wait(ptr @done, ptr @lock)
  br label %wait
end:
  %status = load i64, ptr @status
  %u2 = call i32 @pthread_mutex_unlock(ptr @lock)
  store atomic i32 0, ptr @busy release, align 4
  ret i64 %status
}

define void @sciad_stop() nounwind {
entry:
  store atomic i64 1, ptr @sciad_threads monotonic, align 8
  %me = call i32 @getpid()
  %pid = load atomic i32, ptr @pid acquire, align 4
  %ours = icmp eq i32 %pid, %me
  br i1 %ours, label %tell, label %end
tell:
  %l = call i32 @pthread_mutex_lock(ptr @lock)
  store i64 1, ptr @quit
  %b = call i32 @pthread_cond_broadcast(ptr @ready)
  %u = call i32 @pthread_mutex_unlock(ptr @lock)
  br label %more
more:
  %k = load i64, ptr @workers
  %none = icmp eq i64 %k, 0
  br i1 %none, label %end, label %join
join:
  %less = sub i64 %k, 1
  store i64 %less, ptr @workers
  %place = getelementptr inbounds i64, ptr @ids, i64 %less
  %id = load i64, ptr %place
  %j = call i32 @pthread_join(i64 %id, ptr null)
  br label %more
end:
  ret void
}
"""
