"""
From NumPy to assembly: every stage of a small function
=======================================================

`sciad.jit` is a compiler, and nothing of what it does is hidden. This page takes a function of
three lines through all its forms: the program, its graph, the graph of its gradient, the loops, the
text for LLVM, the instructions of the processor. Each is printed, and each can be run.
"""

# %%
# The program
# -----------
# A loss that a statistician may write: residuals of a line, weighted down where they are large.

import matplotlib.pyplot as plt
import numpy as np

import sciad


def loss(line, x, y):
    residual = y - (line[0] + line[1] * x)
    return np.sum(np.log1p(residual**2))


generator = np.random.default_rng(5)
x = np.linspace(-1.0, 1.0, 1000)
y = 0.5 + 2.0 * x + 0.1 * generator.standard_t(df=2, size=x.size)

slope = sciad.jit(sciad.grad(loss))
print(slope(np.zeros(2), x, y))
stages = slope.lower(np.zeros(2), x, y)

# %%
# The graph
# ---------
# `sciad.grad` ran on values that have a shape and a type and no numbers, and wrote down what it
# did: first the function, then its cotangents, backwards.

print(stages.graph)

# %%
# The graph, simplified
# ---------------------
# Constants are folded, equal operations are done once, what nobody needs is dropped. Nothing that
# would change a result by a rounding is done.

print(stages.simplified)

# %%
# A graph can be evaluated by NumPy, equation by equation. That is the meaning which every later
# stage is tested against.

leaves = np.zeros(2), x, y
print(stages.graph(*leaves)[0] - stages.simplified(*leaves)[0])

# %%
# The loops
# ---------
# Operations become statements on single numbers. The line's two coefficients are scalars now, and
# what happens to a thousand numbers is one loop: the value, its derivative and both sums, with no
# array stored on the way.

print(stages.loops)

# %%
# LLVM
# ----
# The loops spelled for LLVM: no further decision is taken here. The loop's body begins so:

lines = stages.llvm.splitlines()
first = next(k for k, line in enumerate(lines) if " = phi i64" in line)
print("\n".join(lines[first - 1:first + 24]))

# %%
# The machine code
# ----------------
# LLVM unrolls the loop and puts several numbers into each register, as many as the processor of
# this machine holds. These are the arithmetic instructions of the result, counted.

arithmetic = {}
for line in stages.assembly.splitlines():
    word = line.split()[0] if line.startswith("\t") and line.split() else ""
    if word.startswith(("vadd", "vsub", "vmul", "vdiv", "vfm", "vfnm", "fadd", "fmul", "fdiv",
                        "fmla", "fsub", "addpd", "mulpd", "subpd", "divpd")):
        arithmetic[word] = arithmetic.get(word, 0) + 1
print(", ".join(f"{count} {word}" for word, count in sorted(arithmetic.items())))

# %%
# Where the time goes
# -------------------
# Compiling is quick because little is asked of LLVM: a few statements, spelled once. Below, the
# stages for functions of more and more operations (a polynomial by Horner's rule, unrolled by its
# Python loop).


def horner(x, degree):
    total = 0.0
    for k in range(degree):
        total = total * x + np.sin(x + k)
    return total


degrees = [10, 30, 100, 300, 1000]
seconds = []
for degree in degrees:
    compiled = sciad.jit(lambda x, degree=degree: horner(x, degree))
    compiled(0.5)
    seconds.append(compiled.report().signatures[0]["seconds"])

names = [name for name in seconds[0] if name not in ("read", "link")]
figure, axis = plt.subplots(figsize=(7, 4), layout="constrained")
bottom = np.zeros(len(degrees))
for name in names:
    height = 1e3 * np.array([each.get(name, 0.0) for each in seconds])
    axis.bar([str(3 * d) for d in degrees], height, bottom=bottom, label=name)
    bottom += height
axis.set(xlabel="operations in the function", ylabel="milliseconds", title="Time to compile")
axis.legend()

# %%
# Run it
# ------
# The fitted line, by a few hundred steps of plain gradient descent; each call is some microseconds
# of machine code.

line = np.zeros(2)
for _ in range(300):
    line = line - 1e-3 * slope(line, x, y)

figure, axis = plt.subplots(figsize=(7, 4), layout="constrained")
axis.plot(x, y, ".", color="0.7", markersize=3)
axis.plot(x, line[0] + line[1] * x, "C3", label=f"{line[0]:.3f} + {line[1]:.3f} x")
axis.set(ylim=(-2.5, 3.5), xlabel="x", ylabel="y", title="Fitted in spite of its outliers")
axis.legend()
