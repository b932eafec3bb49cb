/* A copy loop that allocates its output, as a function of arrays must. */

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
