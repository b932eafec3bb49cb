/* What passes over an array once: a copy into new memory, as a function of arrays must make, a copy
   into the same memory again and again, and the chain of ten operations of `elementwise.py`. */

#include <math.h>
#include <stdlib.h>

double copied(long repeat, const double *x, long n) {
  double last = 0.0;
  while (repeat-- > 0) {
    double *out = malloc(n * sizeof *out);
    for (long i = 0; i < n; i++) out[i] = x[i];
    last += out[n / 2];
    free(out);
  }
  return last;
}

double copied_again(long repeat, const double *x, double *restrict out, long n) {
  double last = 0.0;
  while (repeat-- > 0) {
    for (long i = 0; i < n; i++) out[i] = x[i];
    last += out[n / 2];
  }
  return last;
}

/* `head` takes the first 8 numbers of the result. */
void chained(long repeat, const double *x, long n, double *head) {
  while (repeat-- > 0) {
    double *out = malloc(n * sizeof *out);
    for (long i = 0; i < n; i++) {
      double y = x[i] * 0.5 + 1.0, z = y * x[i] - 0.25;
      y = z > x[i] ? z : x[i];
      y = (y + 3.0) * y;
      out[i] = fabs(y - x[i]) * 2.0;
    }
    for (long i = 0; i < 8; i++) head[i] = out[i];
    free(out);
  }
}
