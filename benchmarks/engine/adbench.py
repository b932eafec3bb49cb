"""Two objectives of ADBench (Srajer, Kukelova, Fitzgibbon, "A benchmark of selected algorithmic
differentiation tools on some problems in computer vision and machine learning", 2018).

Mixture of Gaussians: the log likelihood of n points x under K components with weights alpha, means
mu and inverse covariances given by their Cholesky factors, with a Wishart prior:

    sum_i logsumexp_k (alpha_k + sum(q_k) - |L_k (x_i - mu_k)|^2 / 2) - n logsumexp(alpha)
    + sum_k (gamma^2 |L_k|^2 / 2 - m sum(q_k)),     diagonal of L_k = exp(q_k)

(constants left out). Bundle adjustment: a camera (rotation vector r, centre c, focal length f,
principal point p, distortion k) sees the point X at

    p + f (1 + k1 |u|^2 + k2 |u|^4) u,    u = the first two of R(r) (X - c) over the third

with R by Rodrigues' formula; the residual is its distance from the feature, times a weight w whose
own residual is 1 - w^2.
"""

import numpy as np

from benchmarks.case import Case, Claim, contest
from benchmarks.timing import repeated

DIMENSION, COMPONENTS, POINTS = 10, 25, 1000
GAMMA, WISHART = 1.0, 0
OBSERVATIONS = 20
ROWS, COLUMNS = np.tril_indices(DIMENSION, -1)
DIAGONAL = np.arange(DIMENSION)


def mixture_data():
    """Weights, means, factors and points, drawn once."""
    generator = np.random.default_rng(3)
    factors = DIMENSION * (DIMENSION + 1) // 2
    alphas = generator.normal(size=COMPONENTS)
    means = generator.uniform(size=(COMPONENTS, DIMENSION))
    inverse = generator.normal(size=(COMPONENTS, factors))
    return (alphas, means, inverse), generator.normal(size=(POINTS, DIMENSION))


def mixture(parameters, points, zeros, exp, logsumexp):
    """The log likelihood, as both contestants write it."""
    alphas, means, inverse = parameters
    logarithms = inverse[:, :DIMENSION]
    diagonals, sums = exp(logarithms), logarithms.sum(1)
    lower = zeros((COMPONENTS, DIMENSION, DIMENSION))
    lower[:, DIAGONAL, DIAGONAL] = diagonals
    lower[:, ROWS, COLUMNS] = inverse[:, DIMENSION:]
    centred = points - means[:, None, :]
    white = centred @ lower.swapaxes(1, 2)
    inner = (alphas + sums)[:, None] - 0.5 * (white * white).sum(2)
    prior = 0.5 * GAMMA**2 * (lower * lower).sum() - WISHART * sums.sum()
    return logsumexp(inner, 0).sum() - POINTS * logsumexp(alphas, 0) + prior


def mixture_sciad():
    import sciad
    from sciad import numpy as snp
    from sciad.special import logsumexp

    parameters, points = mixture_data()
    gradient = sciad.grad(lambda p: mixture(p, points, snp.zeros, np.exp, logsumexp))
    return repeated(lambda: gradient(parameters))


def mixture_torch():
    import torch

    torch.set_num_threads(1)
    parameters, points = mixture_data()
    points = torch.tensor(points)
    parameters = [torch.tensor(p, requires_grad=True) for p in parameters]

    def zeros(shape):
        return torch.zeros(shape, dtype=torch.float64)

    def gradient():
        value = mixture(parameters, points, zeros, torch.exp, torch.logsumexp)
        return torch.autograd.grad(value, parameters)

    return repeated(gradient)


def bundle_data():
    """One camera of 11 numbers, points and weights to adjust, and the features seen."""
    generator = np.random.default_rng(4)
    camera = np.concatenate([
        *(0.3 * generator.normal(size=3), 0.1 * generator.normal(size=3)),
        *([500.0], [320.0, 240.0], [0.05, -0.01]),
    ])
    points = generator.normal(size=(OBSERVATIONS, 3)) + [0.0, 0.0, 6.0]
    features = 100.0 * generator.normal(size=(OBSERVATIONS, 2)) + [320.0, 240.0]
    return (camera, points, generator.uniform(0.5, 1.5, size=OBSERVATIONS)), features


def rotated(rotation, x, sin, cos, sqrt, cross):
    """Rodrigues' formula: `x` turned about the axis `rotation` by its length."""
    square = (rotation * rotation).sum()
    if square == 0.0:
        return x + cross(rotation, x)
    angle = sqrt(square)
    axis, cosine = rotation / angle, cos(angle)
    along = (axis * x).sum() * (1.0 - cosine)
    return cosine * x + sin(angle) * cross(axis, x) + along * axis


def projected(camera, x, functions):
    """Where the camera sees the point `x`."""
    x = rotated(camera[:3], x - camera[3:6], *functions)
    flat = x[:2] / x[2]
    radius = (flat * flat).sum()
    stretch = 1.0 + camera[9] * radius + camera[10] * radius * radius
    return camera[7:9] + camera[6] * stretch * flat


def bundle(parameters, features, functions):
    """The sum of squares of all residuals, one observation after another."""
    camera, points, weights = parameters
    total = 0.0
    for k in range(OBSERVATIONS):
        weight = weights[k]
        residual = weight * (projected(camera, points[k], functions) - features[k])
        total = total + (residual * residual).sum() + (1.0 - weight * weight) ** 2
    return total


def bundle_sciad():
    import sciad

    parameters, features = bundle_data()
    functions = (np.sin, np.cos, np.sqrt, np.cross)
    gradient = sciad.grad(lambda p: bundle(p, features, functions))
    return repeated(lambda: gradient(parameters))


def bundle_torch():
    import torch

    torch.set_num_threads(1)
    parameters, features = bundle_data()
    features = torch.tensor(features)
    functions = (torch.sin, torch.cos, torch.sqrt, torch.linalg.cross)
    parameters = [torch.tensor(p, requires_grad=True) for p in parameters]
    return repeated(
        lambda: torch.autograd.grad(bundle(parameters, features, functions), parameters)
    )


CASES = {
    "mixture": Case(
        lambda: contest({"torch": mixture_torch, "sciad": mixture_sciad}, rtol=1e-8),
        (Claim("Gaussian mixture gradient (d=10, K=25, n=1000)", peer="torch", ratio=1.0),),
    ),
    "bundle": Case(
        lambda: contest({"torch": bundle_torch, "sciad": bundle_sciad}, rtol=1e-8),
        (Claim("bundle adjustment gradient, 20 observations", peer="torch", ratio=1.0),),
    ),
}
