/* A block of the separator, and its gradient, clip by clip, with as few passes over memory as can be.

   Arrays are float32, row-major, (times, channels) unless said otherwise. With p = prelu(x expand' + expand_bias) and
   q = prelu(d), d the depthwise convolution of norm(p), the block is x + norm(q) reduce' + reduce_bias. A PReLU is
   computed anew from its input wherever it is read. Sums over time run over TILE rows in float32, and over the tiles in
   double. Where a tap of the convolution lies beyond the clip, it reads a row of zeros. */

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define TAPS 3
#define TILE 64
#define EPS 1e-5

typedef void multiplication(const char *, const char *, const int *, const int *, const int *, const float *,
                            const float *, const int *, const float *, const int *, const float *, float *, const int *);

typedef struct {
    multiplication *sgemm; /* of the BLAS */
    long times, bottleneck, hidden, offsets[TAPS];
    float expand_slope, slope;
    const float *expand, *expand_bias; /* (hidden, bottleneck), (hidden) */
    const float *tap_gains, *tap_shifts, *bias; /* the taps times gain and shift of the norm before, (TAPS, hidden) */
    const float *reduce_gains; /* `reduce` times the gain of the norm before, (bottleneck, hidden) */
    const float *reduce_gain, *reduce_shift; /* (bottleneck): its product with that gain; with the shift, and bias */
} Block;

static inline float prelu(float x, float slope) { return x > 0 ? x : slope * x; }

static inline int inside(long time, long times) { return 0 <= time && time < times; }

static inline long end(long start, long times) { return start + TILE < times ? start + TILE : times; }

static float *space(long count) { return aligned_alloc(64, (count * sizeof(float) + 63) / 64 * 64); }

static float *zeros(long count) { return memset(space(count), 0, count * sizeof(float)); }

/* Room for three arrays (times, hidden), which a thread keeps: fresh memory costs more than what is done in it. */
static float *kept(long count)
{
    static _Thread_local float *memory;
    static _Thread_local long size;
    if (size < count) {
        free(memory);
        memory = space(count);
        size = count;
    }
    return memory;
}

/* c = alpha a b + beta c, (rows, columns); a and b are transposed where told. */
static void multiply(const Block *block, int a_transposed, int b_transposed, int rows, int columns, int inner,
                     float alpha, const float *a, const float *b, float beta, float *c)
{
    block->sgemm(b_transposed ? "T" : "N", a_transposed ? "T" : "N", &columns, &rows, &inner, &alpha, b,
                 b_transposed ? &inner : &columns, a, a_transposed ? &rows : &inner, &beta, c, &columns);
}

/* to = from + row, which is added at all times. */
static void add_row(long times, long channels, const float *restrict from, const float *restrict row, float *restrict to)
{
    for (long t = 0; t < times; t++)
        #pragma omp simd
        for (long c = 0; c < channels; c++)
            to[t * channels + c] = from[t * channels + c] + row[c];
}

/* Mean and 1 / deviation from the sums of values and squares, (channels) each. */
static void finish(const double *sums, double count, double *statistics)
{
    double mean = sums[0] / count, variance = sums[1] / count - mean * mean;
    statistics[0] = mean;
    statistics[1] = 1 / sqrt((variance > 0 ? variance : 0) + EPS);
}

/* h += bias; the statistics of prelu(h), where asked for. */
static void biased(const Block *block, float *restrict h, double *statistics)
{
    long channels = block->hidden;
    const float *restrict bias = block->expand_bias;
    float slope = block->expand_slope;
    float *restrict values = zeros(2 * channels), *restrict squares = values + channels;
    double sums[2] = {0, 0};
    for (long start = 0; start < block->times; start += TILE) {
        memset(values, 0, 2 * channels * sizeof(float));
        for (long t = start; t < end(start, block->times); t++) {
            float *restrict row = h + t * channels;
            #pragma omp simd
            for (long c = 0; c < channels; c++) {
                float x = row[c] + bias[c], p = prelu(x, slope);
                row[c] = x;
                values[c] += p;
                squares[c] += p * p;
            }
        }
        for (long c = 0; c < channels; c++) {
            sums[0] += values[c];
            sums[1] += squares[c];
        }
    }
    if (statistics)
        finish(sums, (double)block->times * channels, statistics);
    free(values);
}

/* d[t] = bias + sum over the taps k inside of (constants[k] + scaled[k] p[t + offsets[k]]); q = prelu(d), and its
   statistics, where asked for. */
static void depthwise(const Block *block, const float *restrict h, const float *restrict scaled,
                      const float *restrict constants, float *restrict d, float *restrict q, double *statistics)
{
    long channels = block->hidden, times = block->times;
    float expand_slope = block->expand_slope, slope = block->slope;
    float *restrict none = zeros(4 * channels), *restrict base = none + channels, *restrict values = base + channels,
                    *restrict squares = values + channels;
    const float *restrict tap = scaled, *restrict tap1 = scaled + channels, *restrict tap2 = scaled + 2 * channels;
    long based = -1; /* the taps inside at the time for which `base` was made, as bits */
    double sums[2] = {0, 0};
    for (long start = 0; start < times; start += TILE) {
        memset(values, 0, 2 * channels * sizeof(float));
        for (long t = start; t < end(start, times); t++) {
            const float *source[TAPS];
            long there = 0;
            for (long k = 0; k < TAPS; k++) {
                source[k] = inside(t + block->offsets[k], times) ? h + (t + block->offsets[k]) * channels : none;
                there |= (source[k] != none) << k;
            }
            if (there != based) {
                memcpy(base, block->bias, channels * sizeof(float));
                for (long c = 0; c < TAPS * channels; c++)
                    base[c % channels] += there >> c / channels & 1 ? constants[c] : 0;
                based = there;
            }
            const float *restrict first = source[0], *restrict second = source[1], *restrict third = source[2];
            float *restrict before = d + t * channels, *restrict after = q + t * channels;
            #pragma omp simd
            for (long c = 0; c < channels; c++) {
                float x = base[c] + tap[c] * prelu(first[c], expand_slope) + tap1[c] * prelu(second[c], expand_slope) +
                          tap2[c] * prelu(third[c], expand_slope);
                float p = prelu(x, slope);
                before[c] = x;
                after[c] = p;
                values[c] += p;
                squares[c] += p * p;
            }
        }
        for (long c = 0; c < channels; c++) {
            sums[0] += values[c];
            sums[1] += squares[c];
        }
    }
    if (statistics)
        finish(sums, (double)times * channels, statistics);
    free(none);
}

/* From y, of which the gradient of q is made, to that of d, in its place: dq = scale y + linear q + constant,
   dd = dq prelu'(d). Over time: totals of dd, and of those times at which a tap k is inside, present[k]; products of
   dd[t] with p[t + offsets[k]]. Returns the slope's gradient. */
static double depthwise_gradient(const Block *block, float *restrict y, const float *restrict d, float scale,
                                 float linear, float constant, const float *restrict h, double *restrict totals,
                                 double *restrict present, double *restrict products)
{
    long channels = block->hidden, times = block->times;
    float expand_slope = block->expand_slope, slope = block->slope;
    float *restrict none = zeros((3 + TAPS) * channels), *restrict values = none + channels,
                    *restrict slopes = values + channels, *restrict dots = slopes + channels;
    float *restrict dot = dots, *restrict dot1 = dots + channels, *restrict dot2 = dots + 2 * channels;
    double to_slope = 0;
    memset(totals, 0, channels * sizeof(double));
    memset(present, 0, TAPS * channels * sizeof(double));
    memset(products, 0, TAPS * channels * sizeof(double));
    for (long start = 0; start < times; start += TILE) {
        memset(values, 0, (2 + TAPS) * channels * sizeof(float));
        for (long t = start; t < end(start, times); t++) {
            const float *source[TAPS];
            for (long k = 0; k < TAPS; k++)
                source[k] = inside(t + block->offsets[k], times) ? h + (t + block->offsets[k]) * channels : none;
            const float *restrict first = source[0], *restrict second = source[1], *restrict third = source[2];
            const float *restrict before = d + t * channels;
            float *restrict row = y + t * channels;
            #pragma omp simd
            for (long c = 0; c < channels; c++) {
                float x = before[c], dq = scale * row[c] + linear * prelu(x, slope) + constant;
                float dd = x > 0 ? dq : slope * dq;
                slopes[c] += x > 0 ? 0 : dq * x;
                values[c] += dd;
                dot[c] += dd * prelu(first[c], expand_slope);
                dot1[c] += dd * prelu(second[c], expand_slope);
                dot2[c] += dd * prelu(third[c], expand_slope);
                row[c] = dd;
            }
            for (long k = 0; k < TAPS; k++)
                if (source[k] == none)
                    for (long c = 0; c < channels; c++)
                        present[k * channels + c] -= row[c];
        }
        for (long c = 0; c < channels; c++) {
            totals[c] += values[c];
            to_slope += slopes[c];
        }
        for (long c = 0; c < TAPS * channels; c++)
            products[c] += dots[c];
    }
    for (long c = 0; c < TAPS * channels; c++)
        present[c] += totals[c % channels];
    free(none);
    return to_slope;
}

/* From dd to the gradient of h, in its place: dp[t] = sum over the taps k of scaled[k] dd[t - offsets[k]] + linear p[t]
   + constant, dh = dp prelu'(h), with its totals over time. Returns the slope's gradient. */
static double expand_gradient(const Block *block, const float *restrict dd, const float *restrict scaled, float linear,
                              float constant, float *restrict h, double *restrict totals)
{
    long channels = block->hidden, times = block->times;
    float slope = block->expand_slope;
    float *restrict none = zeros(3 * channels), *restrict values = none + channels, *restrict slopes = values + channels;
    const float *restrict tap = scaled, *restrict tap1 = scaled + channels, *restrict tap2 = scaled + 2 * channels;
    double to_slope = 0;
    memset(totals, 0, channels * sizeof(double));
    for (long start = 0; start < times; start += TILE) {
        memset(values, 0, 2 * channels * sizeof(float));
        for (long t = start; t < end(start, times); t++) {
            const float *source[TAPS];
            for (long k = 0; k < TAPS; k++)
                source[k] = inside(t - block->offsets[k], times) ? dd + (t - block->offsets[k]) * channels : none;
            const float *restrict first = source[0], *restrict second = source[1], *restrict third = source[2];
            float *restrict row = h + t * channels;
            #pragma omp simd
            for (long c = 0; c < channels; c++) {
                float x = row[c], dp = linear * prelu(x, slope) + constant + tap[c] * first[c] + tap1[c] * second[c] +
                                       tap2[c] * third[c];
                float dh = x > 0 ? dp : slope * dp;
                slopes[c] += x > 0 ? 0 : dp * x;
                values[c] += dh;
                row[c] = dh;
            }
        }
        for (long c = 0; c < channels; c++) {
            totals[c] += values[c];
            to_slope += slopes[c];
        }
    }
    free(none);
    return to_slope;
}

/* The depthwise taps with a norm of these statistics folded in: what multiplies p, and what is added, (TAPS, hidden). */
static void fold(const Block *block, const double *statistics, float *restrict scaled, float *restrict constants)
{
    for (long c = 0; c < TAPS * block->hidden; c++) {
        scaled[c] = block->tap_gains[c] * statistics[1];
        constants[c] = block->tap_shifts[c] - block->tap_gains[c] * statistics[0] * statistics[1];
    }
}

/* The gradient of a norm's input v is inverse (g - average - z c), with g the gradient of its output times the gain,
   z = inverse (v - mean) and c the mean of g z. What of it is linear in v, and what is constant.

   average: mean of g; along: mean of g v. */
static void through_norm(double average, double along, const double *statistics, float *linear, float *constant)
{
    double mean = statistics[0], inverse = statistics[1];
    double slope = -inverse * inverse * inverse * (along - mean * average);
    *linear = slope;
    *constant = -inverse * average - slope * mean;
}

/* y (clips, times, bottleneck) and the statistics of both norms, (clips, 4). */
void forward(const Block *block, long clips, const float *x, float *y, double *statistics)
{
    long times = block->times, bottleneck = block->bottleneck, hidden = block->hidden, size = times * hidden;
    float *h = kept(3 * size), *d = h + size, *q = d + size;
    float *scaled = zeros(2 * TAPS * hidden + bottleneck), *constants = scaled + TAPS * hidden,
          *shift = constants + TAPS * hidden;
    for (long clip = 0; clip < clips; clip++, x += times * bottleneck, y += times * bottleneck, statistics += 4) {
        multiply(block, 0, 1, times, hidden, bottleneck, 1, x, block->expand, 0, h);
        biased(block, h, statistics);
        fold(block, statistics, scaled, constants);
        depthwise(block, h, scaled, constants, d, q, statistics + 2);
        for (long c = 0; c < bottleneck; c++)
            shift[c] = block->reduce_shift[c] - block->reduce_gain[c] * statistics[2] * statistics[3];
        add_row(times, bottleneck, x, shift, y);
        multiply(block, 0, 1, times, bottleneck, hidden, statistics[3], q, block->reduce_gains, 1, y);
    }
    free(scaled);
}

/* The gradient of x, and for each clip the sums that the weights' gradients are made of.

   to_bias: of the gradient over time, (bottleneck). products: of the gradient with q, (bottleneck, hidden). to_expand: (hidden, bottleneck). slopes: (2). sums over time,
   (2 + 2 TAPS, hidden): of dd, of its times with each tap inside, of its products with the p of each tap, of dh. */
void backward(const Block *block, long clips, const float *x, const float *to_y, const double *statistics,
              const float *to_bias, float *to_x, float *products, float *to_expand, double *slopes, double *sums)
{
    long times = block->times, bottleneck = block->bottleneck, hidden = block->hidden, size = times * hidden;
    float *h = kept(3 * size), *d = h + size, *q = d + size;
    float *scaled = zeros(2 * TAPS * hidden + bottleneck), *constants = scaled + TAPS * hidden,
          *none = constants + TAPS * hidden;
    for (long clip = 0; clip < clips; clip++, x += times * bottleneck, to_y += times * bottleneck,
              to_x += times * bottleneck, statistics += 4, products += bottleneck * hidden,
              to_expand += hidden * bottleneck, to_bias += bottleneck, slopes += 2, sums += (2 + 2 * TAPS) * hidden) {
        double *totals = sums, *present = totals + hidden, *dots = present + TAPS * hidden;
        double average = 0, along = 0;
        float linear, constant;
        multiply(block, 0, 1, times, hidden, bottleneck, 1, x, block->expand, 0, h);
        biased(block, h, NULL);
        fold(block, statistics, scaled, constants);
        depthwise(block, h, scaled, constants, d, q, NULL);
        multiply(block, 1, 0, bottleneck, hidden, times, 1, to_y, q, 0, products);
        for (long c = 0; c < bottleneck; c++)
            average += to_bias[c] * block->reduce_gain[c];
        for (long c = 0; c < bottleneck * hidden; c++)
            along += block->reduce_gains[c] * products[c];
        through_norm(average / size, along / size, statistics + 2, &linear, &constant);
        multiply(block, 0, 0, times, hidden, bottleneck, 1, to_y, block->reduce_gains, 0, q);
        slopes[1] = depthwise_gradient(block, q, d, statistics[3], linear, constant, h, totals, present, dots);
        average = along = 0;
        for (long c = 0; c < TAPS * hidden; c++) {
            average += block->tap_gains[c] * present[c];
            along += block->tap_gains[c] * dots[c];
        }
        through_norm(average / size, along / size, statistics, &linear, &constant);
        slopes[0] = expand_gradient(block, q, scaled, linear, constant, h, dots + TAPS * hidden);
        multiply(block, 1, 0, hidden, bottleneck, times, 1, h, x, 0, to_expand);
        add_row(times, bottleneck, to_y, none, to_x);
        multiply(block, 0, 0, times, bottleneck, hidden, 1, h, block->expand, 1, to_x);
    }
    free(scaled);
}
