// GELU, both forms (ops/gelu.py derives them). One thread an element.
//
// With ROUNDED, gelu(x) is written as bfloat16, for a product that takes such numbers (gelu_linear.py).

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

extern "C" __global__ void forward(const real* x, result* y, int64 n, int64 exact) {
    const int64 i = thread_number();
    if (i >= n) return;
    y[i] = as_result(x[i] * cdf(x[i], exact));
}

extern "C" __global__ void backward(const real* dy, const real* x, real* dx, int64 n, int64 exact) {
    const int64 i = thread_number();
    if (i >= n) return;
    dx[i] = dy[i] * slope(x[i], cdf(x[i], exact), exact);
}

// y once more, and dx in the place of dy
extern "C" __global__ void forward_and_backward(real* dy, const real* x, result* y, int64 n, int64 exact) {
    const int64 i = thread_number();
    if (i >= n) return;
    const real x_i = x[i], c = cdf(x_i, exact);
    y[i] = as_result(x_i * c);
    dy[i] *= slope(x_i, c, exact);
}
