/* Lotka-Volterra with adaptive Tsit5, dense output and the discrete adjoint, by hand.

   Forward: steps of the 5(4) pair of Tsitouras (2011, Comput. Math. Appl. 62:770), first-same-as-
   last, with the starting step and the controller of Hairer, Norsett & Wanner (Solving ODEs I,
   II.4) as SciPy sets them; the solution at the save points is the pair's interpolant
       y(t + theta h) = y + h sum_i b_i(theta) k_i ,
   and the loss is the sum of its squares over all save points.

   Backward: the steps taken are fixed numbers h_n. Reverse through
       Y_i = y_n + h sum_{j<i} a_ij k_j,   k_i = f(Y_i),   y_{n+1} = Y_7,
   with the save points of step n adding g to the cotangent of y_n and h b_i(theta) g to that of
   k_i. The cotangent of k_1 is handed to the step before as that of its k_7. */

#include <math.h>
#include <string.h>

enum { DIM = 2, STAGES = 7, MAX_STEPS = 8192, MAX_SAVES = 1024 };

static const double A[STAGES][STAGES - 1] = {
    {0},
    {0.161},
    {-0.008480655492356989, 0.335480655492357},
    {2.8971530571054935, -6.359448489975075, 4.3622954328695815},
    {5.325864828439257, -11.748883564062828, 7.4955393428898365, -0.09249506636175525},
    {5.86145544294642, -12.92096931784711, 8.159367898576159, -0.071584973281401,
     -0.028269050394068383},
    {0.09646076681806523, 0.01, 0.4798896504144996, 1.379008574103742, -3.290069515436081,
     2.324710524099774}};
static const double E[STAGES] = {
    0.0017800110522257772, 0.0008164344596567462, -0.007880878010261994, 0.1447110071732629,
    -0.5823571654525552,   0.4580821059291869,    -0.015151515151515152};

typedef struct {
  double h, stage[STAGES][DIM], k[STAGES][DIM]; /* stage[0] = y_n, stage[6] = y_{n+1} */
  int first_save, last_save;                    /* save points in (t_n, t_{n+1}] */
} Step;

typedef struct {
  double weight[STAGES], y[DIM]; /* h b_i(theta), and the solution there */
} Save;

static Step steps[MAX_STEPS];
static Save saves[MAX_SAVES];
static double step_ends[MAX_STEPS];

static inline void rhs(const double *p, const double *y, double *k) {
  double eaten = y[0] * y[1];
  k[0] = p[0] * y[0] - p[1] * eaten;
  k[1] = p[3] * eaten - p[2] * y[1];
}

/* y_bar += (df/dy)^T k_bar, p_bar += (df/dp)^T k_bar */
static inline void rhs_vjp(const double *p, const double *y, const double *k_bar, double *y_bar,
                           double *p_bar) {
  double eaten = y[0] * y[1], eaten_bar = p[3] * k_bar[1] - p[1] * k_bar[0];
  y_bar[0] += p[0] * k_bar[0] + eaten_bar * y[1];
  y_bar[1] += eaten_bar * y[0] - p[2] * k_bar[1];
  p_bar[0] += k_bar[0] * y[0];
  p_bar[1] -= k_bar[0] * eaten;
  p_bar[2] -= k_bar[1] * y[1];
  p_bar[3] += k_bar[1] * eaten;
}

/* stages 2..7; stage[0] and k[0] are given */
static inline void take_step(const double *p, Step *s) {
#pragma GCC unroll 7
  for (int i = 1; i < STAGES; i++) {
    double sum[DIM] = {0};
#pragma GCC unroll 7
    for (int j = 0; j < i; j++)
      for (int d = 0; d < DIM; d++) sum[d] += A[i][j] * s->k[j][d];
    for (int d = 0; d < DIM; d++) s->stage[i][d] = s->stage[0][d] + s->h * sum[d];
    rhs(p, s->stage[i], s->k[i]);
  }
}

static inline double rms(const double *v, const double *scale) {
  double a = v[0] / scale[0], b = v[1] / scale[1];
  return sqrt(0.5 * (a * a + b * b));
}

static inline double error_norm(const Step *s, double rtol, double atol) {
  double error[DIM] = {0}, scale[DIM];
#pragma GCC unroll 7
  for (int i = 0; i < STAGES; i++)
    for (int d = 0; d < DIM; d++) error[d] += E[i] * s->k[i][d];
  for (int d = 0; d < DIM; d++) {
    error[d] *= s->h;
    scale[d] = atol + rtol * fmax(fabs(s->stage[0][d]), fabs(s->stage[6][d]));
  }
  return rms(error, scale);
}

static double first_step(const double *p, const double *y, const double *f, double span,
                         double rtol, double atol) {
  double scale[DIM], y1[DIM], f1[DIM], change[DIM];
  for (int d = 0; d < DIM; d++) scale[d] = atol + rtol * fabs(y[d]);
  double d0 = rms(y, scale), d1 = rms(f, scale);
  double h0 = fmin(span, d0 < 1e-5 || d1 < 1e-5 ? 1e-6 : 0.01 * d0 / d1);
  for (int d = 0; d < DIM; d++) y1[d] = y[d] + h0 * f[d];
  rhs(p, y1, f1);
  for (int d = 0; d < DIM; d++) change[d] = f1[d] - f[d];
  double d2 = rms(change, scale) / h0, largest = fmax(d1, d2);
  double h1 = largest <= 1e-15 ? fmax(1e-6, h0 * 1e-3) : pow(0.01 / largest, 0.2);
  return fmin(span, fmin(100 * h0, h1));
}

/* h b_i(theta): the fourth-order interpolant of the pair, in Tsitouras' factored form */
static inline void interpolant(double x, double h, double *w) {
  double h_xx = h * x * x;
  w[0] = h * x * -1.0530884977290216 * (x - 1.3299890189751412) *
         (x * x - 1.4364028541716351 * x + 0.7139816917074209);
  w[1] = h_xx * 0.1017 * (x * x - 2.1966568338249754 * x + 1.2949852507374631);
  w[2] = h_xx * 2.490627285651252793 * (x * x - 2.38535645472061657 * x + 1.57803468208092486);
  w[3] = h_xx * -16.54810288924490272 * (x - 1.21712927295533244) * (x - 0.61620406037800089);
  w[4] = h_xx * 47.37952196281928122 * (x - 1.203071208372362603) * (x - 0.658047292653547382);
  w[5] = h_xx * -34.87065786149660974 * (x - 1.2) * (x - 0.666666666666666667);
  w[6] = h_xx * 2.5 * (x - 1) * (x - 0.6);
}

/* save points up to t_end; returns their part of the loss */
static inline double save_points(Step *s, double t, double t_end, const double *ts, int n_saves,
                                 int first) {
  double loss = 0;
  int j = first;
  for (; j < n_saves && ts[j] <= t_end; j++) {
    Save *save = &saves[j];
    interpolant((ts[j] - t) / s->h, s->h, save->weight);
    double y[DIM] = {s->stage[0][0], s->stage[0][1]};
#pragma GCC unroll 7
    for (int i = 0; i < STAGES; i++)
      for (int d = 0; d < DIM; d++) y[d] += save->weight[i] * s->k[i][d];
    for (int d = 0; d < DIM; d++) {
      save->y[d] = y[d];
      loss += y[d] * y[d];
    }
  }
  s->first_save = first;
  s->last_save = j;
  return loss;
}

static inline void begin_next(int n) {
  memcpy(steps[n + 1].stage[0], steps[n].stage[6], sizeof steps[n].stage[6]);
  memcpy(steps[n + 1].k[0], steps[n].k[6], sizeof steps[n].k[6]);
}

/* The adaptive march. Returns the number of steps, or -1 where it cannot go on. */
static int march(const double *p, const double *y0, double t0, double t1, const double *ts,
                 int n_saves, double rtol, double atol, double *loss) {
  double t = t0, h;
  int n = 0, saved = 0, rejected = 0;
  *loss = 0;
  memcpy(steps[0].stage[0], y0, sizeof(double) * DIM);
  rhs(p, y0, steps[0].k[0]);
  h = first_step(p, y0, steps[0].k[0], t1 - t0, rtol, atol);
  while (t < t1) {
    if (n + 1 >= MAX_STEPS || h < 1e-14 * fabs(t)) return -1;
    Step *s = &steps[n];
    double t_new = fmin(t + h, t1);
    s->h = t_new - t;
    take_step(p, s);
    double norm = error_norm(s, rtol, atol);
    double factor = norm == 0 ? 10 : 0.9 * pow(norm, -0.2);
    if (norm < 1) {
      *loss += save_points(s, t, t_new, ts, n_saves, saved);
      saved = s->last_save;
      h = s->h * fmin(rejected ? 1 : 10, factor);
      rejected = 0;
      step_ends[n] = t = t_new;
      begin_next(n++);
    } else if (norm >= 1) {
      h = s->h * fmax(0.2, factor);
      rejected = 1;
    } else {
      return -1; /* not a number */
    }
  }
  return n;
}

static void adjoint(const double *p, int n_steps, double *y_bar, double *p_bar) {
  double k_next[DIM] = {0};
  memset(y_bar, 0, sizeof(double) * DIM);
  memset(p_bar, 0, sizeof(double) * 4);
  for (int n = n_steps - 1; n >= 0; n--) {
    const Step *s = &steps[n];
    double k_bar[STAGES][DIM] = {{0}}, start_bar[DIM] = {0};
    for (int d = 0; d < DIM; d++) k_bar[6][d] = k_next[d];
    for (int j = s->first_save; j < s->last_save; j++)
      for (int d = 0; d < DIM; d++) {
        double g = 2 * saves[j].y[d];
        start_bar[d] += g;
#pragma GCC unroll 7
        for (int i = 0; i < STAGES; i++) k_bar[i][d] += saves[j].weight[i] * g;
      }
#pragma GCC unroll 7
    for (int i = STAGES - 1; i > 0; i--) {
      double stage_bar[DIM] = {0};
      if (i == STAGES - 1)
        for (int d = 0; d < DIM; d++) stage_bar[d] = y_bar[d];
      rhs_vjp(p, s->stage[i], k_bar[i], stage_bar, p_bar);
      for (int d = 0; d < DIM; d++) {
        start_bar[d] += stage_bar[d];
        double scaled = s->h * stage_bar[d];
#pragma GCC unroll 7
        for (int j = 0; j < i; j++) k_bar[j][d] += A[i][j] * scaled;
      }
    }
    for (int d = 0; d < DIM; d++) {
      y_bar[d] = start_bar[d];
      k_next[d] = k_bar[0][d];
    }
  }
  rhs_vjp(p, steps[0].stage[0], k_next, y_bar, p_bar);
}

/* `repeat` times the loss alone; returns the number of steps */
int solve(int repeat, const double *p, const double *y0, double t0, double t1, const double *ts,
          int n_saves, double rtol, double atol, double *loss) {
  int n = -1;
  if (n_saves > MAX_SAVES) return -1;
  for (int i = 0; i < repeat; i++) n = march(p, y0, t0, t1, ts, n_saves, rtol, atol, loss);
  return n;
}

/* `repeat` times the loss and its gradient by y0 and p; returns the number of steps */
int value_and_grad(int repeat, const double *p, const double *y0, double t0, double t1,
                   const double *ts, int n_saves, double rtol, double atol, double *loss,
                   double *y_bar, double *p_bar) {
  int n = -1;
  if (n_saves > MAX_SAVES) return -1;
  for (int i = 0; i < repeat; i++) {
    n = march(p, y0, t0, t1, ts, n_saves, rtol, atol, loss);
    if (n < 0) return n;
    adjoint(p, n, y_bar, p_bar);
  }
  return n;
}

/* copies the ends of the last solve's steps */
void last_steps(int n, double *ends) { memcpy(ends, step_ends, sizeof(double) * n); }

/* the loss with given steps: the function whose derivative the adjoint is */
double replay(const double *p, const double *y0, double t0, const double *ends, int n_steps,
              const double *ts, int n_saves) {
  double loss = 0, t = t0;
  int saved = 0;
  memcpy(steps[0].stage[0], y0, sizeof(double) * DIM);
  rhs(p, y0, steps[0].k[0]);
  for (int n = 0; n < n_steps; n++) {
    steps[n].h = ends[n] - t;
    take_step(p, &steps[n]);
    loss += save_points(&steps[n], t, ends[n], ts, n_saves, saved);
    saved = steps[n].last_save;
    t = ends[n];
    begin_next(n);
  }
  return loss;
}
