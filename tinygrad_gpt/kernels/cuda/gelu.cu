// GELU, both forms (ops/gelu.py derives them). PACK elements a thread.
//
// With ROUNDED, gelu(x) is written as bfloat16, for a product that takes such numbers (gelu_linear.py).

#include "machine/rows.cuh"

constexpr real SQRT_2_OVER_PI = 0.7978845608028654, CUBIC = 0.044715;
constexpr real SQRT_HALF = 0.7071067811865476, ONE_OVER_SQRT_2_PI = 0.3989422804014327;
constexpr real FAR = 40;

// x, but not past ±FAR, where y is 0 or x to the last bit and 0 · inf would be nan. NaN stays NaN, which it would not in
// min and max.
__device__ inline real at_least(real x) { return x < -FAR ? -FAR : x; }
__device__ inline real at_most(real x) { return x > FAR ? FAR : x; }

// y = x Φ(x), or the tanh form of it, and dy/dx. Φ in the tail is made of numbers that are small themselves, erfc or
// e^(-2|u|): as 1 + erf, or 1 + tanh, it would cancel.
struct ValueAndSlope { real y, slope; };

__device__ inline ValueAndSlope gelu(real x, bool exact) {
    const real above = at_least(x), v = at_most(above);
    real cdf, density;
    if (exact) {
        cdf = real(0.5) * erfc(-SQRT_HALF * v);
        density = ONE_OVER_SQRT_2_PI * exp(real(-0.5) * v * v);
    } else {
        const real u = SQRT_2_OVER_PI * (v + CUBIC * v * v * v), e = exp(v < 0 ? 2 * u : -2 * u), s = e / (1 + e);
        cdf = v < 0 ? s : 1 - s;
        density = 2 * s * (1 - s) * SQRT_2_OVER_PI * (1 + 3 * CUBIC * v * v);
    }
    // y = x * cdf(x)
    return {above * cdf, cdf + v * density};
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
    for (int k = 0; k < PACK; k++) results.at[k] = as_result(gelu(some.at[k], exact).y);
    *(Results*)(y + first) = results;
}

// dx, which may be dy itself; and y once more, where it is wanted
extern "C" __global__ void backward(const real* dy, const real* x, real* dx, result* y, int64 n, int64 exact) {
    const int64 first = thread_number() * PACK;
    if (first >= n) return;
    const Pack some = load(x + first);
    Pack d = load(dy + first);
    Results results;
    for (int k = 0; k < PACK; k++) {
        const ValueAndSlope at_x = gelu(some.at[k], exact);
        results.at[k] = as_result(at_x.y);
        d.at[k] *= at_x.slope;
    }
    if (y) *(Results*)(y + first) = results;
    store(dx + first, d);
}
