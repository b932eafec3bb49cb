/* Euler steps of Lotka-Volterra, forward, with the cotangent of the right-hand side beside them:

     y += h f(y),   y_bar -= h (df/dy)^T y_bar,   p_bar += h (df/dp)^T y_bar ,

   the right-hand side and its vjp written out by hand, as one would in a C program. */

void march(long repeat, long steps, double h, const double *p, const double *first,
           double *y, double *y_bar, double *p_bar) {
  while (repeat-- > 0) {
    double a = first[0], b = first[1], u = 1.0, v = 1.0, g0 = 0.0, g1 = 0.0, g2 = 0.0, g3 = 0.0;
    for (long k = 0; k < steps; k++) {
      double eaten = a * b, eaten_bar = p[3] * v - p[1] * u;
      double da = p[0] * a - p[1] * eaten, db = p[3] * eaten - p[2] * b;
      double du = p[0] * u + eaten_bar * b, dv = eaten_bar * a - p[2] * v;
      g0 += h * (u * a);
      g1 -= h * (u * eaten);
      g2 -= h * (v * b);
      g3 += h * (v * eaten);
      a += h * da;
      b += h * db;
      u -= h * du;
      v -= h * dv;
    }
    y[0] = a, y[1] = b, y_bar[0] = u, y_bar[1] = v;
    p_bar[0] = g0, p_bar[1] = g1, p_bar[2] = g2, p_bar[3] = g3;
  }
}
