"""A spiral neural ODE (2-50-2, tanh, on y**3): the gradient of its fit by all weights."""

import numpy as np
from scipy.integrate import solve_ivp as scipy_solve_ivp

from benchmarks.case import Case, Claim, contest
from benchmarks.timing import repeated

START = np.array([2.0, 0.0])
SPAN = (0.0, 1.5)
TIMES = np.linspace(*SPAN, 30)
RTOL, ATOL = 1e-6, 1e-8


def spiral():
    """The trajectory to be fitted: dy/dt = A y**3, a spiral."""
    matrix = np.array([[-0.1, 2.0], [-2.0, -0.1]])
    options = {"t_eval": TIMES, "rtol": 1e-10, "atol": 1e-12}
    return scipy_solve_ivp(lambda t, y: matrix @ y**3, SPAN, START, **options).y


def initial_weights():
    """Normal weights of variance one over the number of inputs; biases zero."""
    generator = np.random.default_rng(0)
    shapes = {"w1": (50, 2), "w2": (2, 50)}
    weights = {k: generator.normal(size=s) / np.sqrt(s[1]) for k, s in shapes.items()}
    return {**weights, "b1": np.zeros(50), "b2": np.zeros(2)}


def flat(result):
    """Value and gradient with the weights in a fixed order."""
    value, gradient = result
    return value, [gradient[name] for name in ("w1", "b1", "w2", "b2")]


def diffrax_run():
    import diffrax
    import jax
    import jax.numpy as jnp

    jax.config.update("jax_enable_x64", True)
    data = jnp.asarray(spiral().T)

    def field(t, y, w):
        return w["w2"] @ jnp.tanh(w["w1"] @ y**3 + w["b1"]) + w["b2"]

    def loss(w):
        solution = diffrax.diffeqsolve(
            *(diffrax.ODETerm(field), diffrax.Tsit5(), *SPAN, None, jnp.asarray(START), w),
            saveat=diffrax.SaveAt(ts=jnp.asarray(TIMES)),
            stepsize_controller=diffrax.PIDController(rtol=RTOL, atol=ATOL),
        )
        return jnp.mean((solution.ys - data) ** 2)

    gradient = jax.jit(jax.value_and_grad(loss))
    weights = jax.tree.map(jnp.asarray, initial_weights())
    return repeated(lambda: flat(jax.block_until_ready(gradient(weights))))


def sciad_run():
    import sciad
    from sciad.ode import solve_ivp

    data = spiral()

    def field(t, y, w):
        return w["w2"] @ np.tanh(w["w1"] @ y**3 + w["b1"]) + w["b2"]

    def loss(w):
        options = {"method": "Tsit5", "t_eval": TIMES, "rtol": RTOL, "atol": ATOL}
        return np.mean((solve_ivp(field, SPAN, START, args=(w,), **options).y - data) ** 2)

    gradient = sciad.jit(sciad.value_and_grad(loss))
    weights = initial_weights()
    return repeated(lambda: flat(gradient(weights)))


def measure():
    """The steps are long and differ, so the interpolants agree to some 3e-4 only."""
    return contest({"diffrax": diffrax_run, "sciad": sciad_run}, rtol=1e-3, budget=6.0)


CASES = {
    "spiral": Case(measure, (Claim("spiral neural ODE gradient", peer="diffrax", ratio=0.3),)),
}
