/* Heat on n x n points: with L u the flow into each inner point, and zero at the border,

     u' = u + k L u,   loss = sum (u_N - target)^2 ,

   and its adjoint, where w is the cotangent of the inner points, and zero at the border:

     u_bar = u_bar' + k L^T w,   k_bar += w . L u .

   `states` has room for (steps + 1) n n numbers, `w` for 2 n n, `sums` for n. */

#include <string.h>

static double flow(const double *u, long n) {
  return u[n] + u[-n] + u[1] + u[-1] - 4.0 * u[0];
}

static void forward(long n, long steps, double k, double *states) {
  for (long step = 0; step < steps; step++) {
    const double *u = states + step * n * n;
    double *restrict next = states + (step + 1) * n * n;
    memcpy(next, u, n * sizeof *u);
    for (long i = 1; i < n - 1; i++) {
      next[i * n] = u[i * n];
      for (long j = 1; j < n - 1; j++) next[i * n + j] = u[i * n + j] + k * flow(u + i * n + j, n);
      next[i * n + n - 1] = u[i * n + n - 1];
    }
    memcpy(next + n * (n - 1), u + n * (n - 1), n * sizeof *u);
  }
}

static void border(long n, double k, const double *w, double *u_bar) {
  for (long i = 1; i < n - 1; i++) {
    u_bar[i] += k * w[n + i];
    u_bar[n * (n - 1) + i] += k * w[n * (n - 2) + i];
    u_bar[i * n] += k * w[i * n + 1];
    u_bar[i * n + n - 1] += k * w[i * n + n - 2];
  }
}

static void back(long n, double k, const double *u, const double *w, double *restrict next,
                 double *restrict sums) {
  for (long i = 1; i < n - 1; i++)
    for (long j = 1; j < n - 1; j++) {
      long at = i * n + j;
      sums[j] += w[at] * flow(u + at, n);
      next[at] = w[at] + k * flow(w + at, n);
    }
}

void value_and_grad(long repeat, long n, long steps, const double *first, double k,
                    const double *target, double *states, double *w, double *sums,
                    double *loss, double *u_bar, double *k_bar) {
  while (repeat-- > 0) {
    memcpy(states, first, n * n * sizeof *first);
    forward(n, steps, k, states);
    const double *last = states + steps * n * n;
    double *now = w, *next = w + n * n, total = 0.0;
    memset(w, 0, 2 * n * n * sizeof *w);
    memset(sums, 0, n * sizeof *sums);
    for (long i = 0; i < n; i++)
      for (long j = 0; j < n; j++) {
        double off = last[i * n + j] - target[i * n + j];
        total += off * off;
        u_bar[i * n + j] = 2.0 * off;
        if (0 < i && i < n - 1 && 0 < j && j < n - 1) now[i * n + j] = 2.0 * off;
      }
    for (long step = steps - 1; step >= 0; step--) {
      border(n, k, now, u_bar);
      back(n, k, states + step * n * n, now, next, sums);
      double *other = now;
      now = next, next = other;
    }
    for (long i = 1; i < n - 1; i++)
      memcpy(u_bar + i * n + 1, now + i * n + 1, (n - 2) * sizeof *now);
    *loss = total, *k_bar = 0.0;
    for (long j = 0; j < n; j++) *k_bar += sums[j];
  }
}
