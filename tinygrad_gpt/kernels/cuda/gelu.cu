// GELU, both forms (ops/gelu.py derives them). PACK elements a thread.
//
// With ROUNDED, gelu(x) is written as bfloat16, for a product that takes such numbers (gelu_linear.py).

#include "rows.cuh"

constexpr real SQRT_2_OVER_PI = 0.7978845608028654, CUBIC = 0.044715;
constexpr real SQRT_HALF = 0.7071067811865476, ONE_OVER_SQRT_2_PI = 0.3989422804014327;

// Φ(x), or the tanh form of it
__device__ inline real cdf(real x, bool exact) {
    if (exact) return real(0.5) * (1 + erf(x * SQRT_HALF));
    return real(0.5) * (1 + tanh(SQRT_2_OVER_PI * (x + CUBIC * x * x * x)));
}

__device__ inline real slope(real x, real cdf, bool exact) {
    const real density = exact ? ONE_OVER_SQRT_2_PI * exp(real(-0.5) * x * x)
                               : 2 * cdf * (1 - cdf) * SQRT_2_OVER_PI * (1 + 3 * CUBIC * x * x);
    // y = x * cdf(x)
    return cdf + x * density;
}

#ifdef ROUNDED
using result = bfloat16;
__device__ inline result as_result(real y) { return bfloat16_of(y); }
#else
using result = real;
__device__ inline result as_result(real y) { return y; }
#endif

struct alignas(PACK * sizeof(result)) Results { result at[PACK]; };

extern "C" __global__ void forward(const real* x, result* y, int64 n, int64 exact) {
    const int64 first = thread_number() * PACK;
    if (first >= n) return;
    const Pack some = load(x + first);
    Results results;
    for (int k = 0; k < PACK; k++) results.at[k] = as_result(some.at[k] * cdf(some.at[k], exact));
    *(Results*)(y + first) = results;
}

extern "C" __global__ void backward(const real* dy, const real* x, real* dx, int64 n, int64 exact) {
    const int64 first = thread_number() * PACK;
    if (first >= n) return;
    const Pack some = load(x + first);
    Pack d = load(dy + first);
    for (int k = 0; k < PACK; k++) d.at[k] *= slope(some.at[k], cdf(some.at[k], exact), exact);
    store(dx + first, d);
}

// y once more, and dx in the place of dy
extern "C" __global__ void forward_and_backward(real* dy, const real* x, result* y, int64 n, int64 exact) {
    const int64 first = thread_number() * PACK;
    if (first >= n) return;
    const Pack some = load(x + first);
    Pack d = load(dy + first);
    Results results;
    for (int k = 0; k < PACK; k++) {
        const real c = cdf(some.at[k], exact);
        results.at[k] = as_result(some.at[k] * c);
        d.at[k] *= slope(some.at[k], c, exact);
    }
    *(Results*)(y + first) = results;
    store(dy + first, d);
}
