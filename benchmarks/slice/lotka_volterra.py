"""The gradient of a Lotka-Volterra solve by its four rates, warm, against C and diffrax."""

import numpy as np

from benchmarks.baselines.lotka_volterra import Baseline
from benchmarks.case import Case, Claim, contest
from benchmarks.timing import repeated

RATES = np.array([1.1, 0.4, 0.4, 0.1])
START = np.array([10.0, 5.0])
SPAN = (0.0, 20.0)
TIMES = np.linspace(*SPAN, 101)
TOLERANCE = 1e-6


def model(t, y, p):
    """Plain NumPy, as a user of sciad writes it."""
    alpha, beta, gamma, delta = p
    hare, lynx = y
    return np.array([alpha * hare - beta * hare * lynx, delta * hare * lynx - gamma * lynx])


def sciad_loss(model=model):
    """The loss: sum of squares of the solution at the save points."""
    from sciad.ode import solve_ivp

    options = {"method": "Tsit5", "t_eval": TIMES, "rtol": TOLERANCE, "atol": TOLERANCE}

    def loss(p):
        return np.sum(solve_ivp(model, SPAN, START, args=(p,), **options).y ** 2)

    return loss


def diffrax_loss():
    """The same loss for JAX, and its starting rates."""
    import diffrax
    import jax
    import jax.numpy as jnp

    jax.config.update("jax_enable_x64", True)

    def field(t, y, p):
        hare, lynx = y
        return jnp.stack([p[0] * hare - p[1] * hare * lynx, p[3] * hare * lynx - p[2] * lynx])

    def loss(p):
        solution = diffrax.diffeqsolve(
            *(diffrax.ODETerm(field), diffrax.Tsit5(), *SPAN, None, jnp.asarray(START), p),
            saveat=diffrax.SaveAt(ts=jnp.asarray(TIMES)),
            stepsize_controller=diffrax.PIDController(rtol=TOLERANCE, atol=TOLERANCE),
        )
        return jnp.sum(solution.ys**2)

    return loss, jnp.asarray(RATES)


def c_run():
    """Hand-written C, after its gradient was checked against differences of its own replay."""
    baseline = Baseline(START, SPAN, TIMES, TOLERANCE, TOLERANCE)
    baseline.verify(RATES)
    return baseline.gradient_run(RATES)


def diffrax_run():
    import jax

    loss, p = diffrax_loss()
    gradient = jax.jit(jax.value_and_grad(loss))
    return repeated(lambda: jax.block_until_ready(gradient(p)))


def sciad_jit_run():
    import sciad

    gradient = sciad.jit(sciad.value_and_grad(sciad_loss()))
    return repeated(lambda: gradient(RATES))


def sciad_plain_run():
    import sciad

    gradient = sciad.value_and_grad(sciad_loss())
    return repeated(lambda: gradient(RATES))


def measure():
    builders = {
        "C": c_run,
        "diffrax": diffrax_run,
        "sciad jit": sciad_jit_run,
        "sciad": sciad_plain_run,
    }
    measured = contest(builders, rtol=1e-4, budget=12.0)
    measured.notes.append("C runs in a loop inside C: its time holds no call from Python")
    return measured


CASES = {
    "lotka_volterra": Case(
        measure,
        (
            Claim("Lotka-Volterra, `jit(value_and_grad)`", "sciad jit", "C", ratio=2.5),
            Claim("Lotka-Volterra, `jit(value_and_grad)`", "sciad jit", "diffrax", ratio=0.07),
            Claim("Lotka-Volterra, `value_and_grad`, no outer `jit`", "sciad", seconds=150e-6),
        ),
    )
}
