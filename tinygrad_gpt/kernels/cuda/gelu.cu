// GELU, both forms (ops/gelu.py derives them). One thread an element.

constexpr real SQRT_2_OVER_PI = 0.7978845608028654, CUBIC = 0.044715;
constexpr real SQRT_HALF = 0.7071067811865476, ONE_OVER_SQRT_2_PI = 0.3989422804014327;

// Φ(x), or the tanh form of it
__device__ inline real cdf(real x, bool exact) {
    if (exact) return real(0.5) * (1 + erf(x * SQRT_HALF));
    return real(0.5) * (1 + tanh(SQRT_2_OVER_PI * (x + CUBIC * x * x * x)));
}

extern "C" __global__ void forward(const real* x, real* y, int64 n, int64 exact) {
    const int64 i = thread_number();
    if (i >= n) return;
    y[i] = x[i] * cdf(x[i], exact);
}

extern "C" __global__ void backward(const real* dy, const real* x, real* dx, int64 n, int64 exact) {
    const int64 i = thread_number();
    if (i >= n) return;
    const real x_i = x[i], c = cdf(x_i, exact);
    const real slope = exact ? ONE_OVER_SQRT_2_PI * exp(real(-0.5) * x_i * x_i)
                             : 2 * c * (1 - c) * SQRT_2_OVER_PI * (1 + 3 * CUBIC * x_i * x_i);
    // y = x * cdf(x)
    dx[i] = dy[i] * (c + x_i * slope);
}
