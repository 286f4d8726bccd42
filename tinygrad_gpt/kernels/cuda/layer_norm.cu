// Layer norm of R rows of C channels (ops/layer_norm.py derives it); of a sum of two arrays for add_layer_norm.
//
// The threads of a row keep it in registers, HELD numbers each, so that it is read from memory once. That is why these
// loops have bounds that are known to the compiler, and conditions inside: registers cannot be indexed at run time.

#include "machine/rows.cuh"

constexpr int HELD = HELD_BYTES / sizeof(real);
constexpr int PACKS = HELD / PACK;

// Calls use(k, j) for each pack of a row that is this thread's: its k-th, which begins at channel j.
template <typename F> __device__ inline void each_held(int c, F use) {
#pragma unroll
    for (int k = 0; k < PACKS; k++) {
        const int j = (k * blockDim.x + threadIdx.x) * PACK;
        if (j < c) use(k, j);
    }
}

// y = layer_norm(x), or, where there is a residual, s = x + residual and y = layer_norm(s).
extern "C" __global__ void forward(const real* x, const real* residual, const real* weight, const real* bias, real eps,
                                   real* s, real* y, real* mean, real* rest, real* rstd, int64 r,
                                   int64 channels) {
    const int64 i = row_number();
    if (i >= r) return;
    const int c = channels;
    const int64 row = i * c;
    Pack held[PACKS];
    each_held(c, [&](int k, int j) { held[k] = load(x + row + j); });
    if (residual) {
        Pack more[PACKS];
        each_held(c, [&](int k, int j) { more[k] = load(residual + row + j); });
        each_held(c, [&](int k, int j) {
            for (int e = 0; e < PACK; e++) held[k].at[e] += more[k].at[e];
            store(s + row + j, held[k]);
        });
    }
    real total = 0, total_rest = 0, squares = 0;
    each_held(c, [&](int k, int) {
        for (real x_j : held[k].at) total += x_j;
    });
    const real mu = row_sum(total) / c;
    each_held(c, [&](int k, int) {
        for (real& x_j : held[k].at) total_rest += x_j -= mu;
    });
    const real rho = row_sum(total_rest) / c;  // what the mean lost in rounding
    each_held(c, [&](int k, int) {
        for (real& x_j : held[k].at) x_j -= rho, squares += x_j * x_j;
    });
    const real scale = 1 / sqrt(row_sum(squares) / c + eps);
    each_held(c, [&](int k, int j) {
        const Pack w = load(weight + j), b = bias ? load(bias + j) : Pack{};
        for (int e = 0; e < PACK; e++) held[k].at[e] = w.at[e] * (held[k].at[e] * scale) + b.at[e];
        store(y + row + j, held[k]);
    });
    if (threadIdx.x == 0) {
        mean[i] = mu;
        rest[i] = rho;
        rstd[i] = scale;
    }
}

// dx (R, C), to which ds is added where there is one. The rows are cut into `chunks`, each the work of as many threads as
// have a row in forward: they go through its rows, adding up what it sends to weight and bias, parts (chunks, 2, C).
extern "C" __global__ void backward(const real* dy, const real* ds, const real* x, const real* mean, const real* rest,
                                    const real* rstd, const real* weight, real* dx, real* parts, int64 chunks,
                                    int64 r, int64 channels) {
    const int64 chunk = row_number();
    if (chunk >= chunks) return;
    const int c = channels;
    Pack dweight[PACKS] = {}, dbias[PACKS] = {};
    for (int64 i = chunk * r / chunks; i < (chunk + 1) * r / chunks; i++) {
        const int64 row = i * c;
        const real mu = mean[i], rho = rest[i], scale = rstd[i];
        Pack x_hat[PACKS], d[PACKS];
        each_held(c, [&](int k, int j) {
            x_hat[k] = load(x + row + j);
            d[k] = load(dy + row + j);
        });
        real total = 0, along_x_hat = 0;
        each_held(c, [&](int k, int j) {
            const Pack w = load(weight + j);
            for (int e = 0; e < PACK; e++) {
                real &x_hat_j = x_hat[k].at[e], &d_j = d[k].at[e];
                x_hat_j = (x_hat_j - mu - rho) * scale;
                // y = weight * x_hat + bias
                dbias[k].at[e] += d_j;
                dweight[k].at[e] += d_j * x_hat_j;
                d_j *= w.at[e];  // from here on it is dx_hat
                total += d_j;
                along_x_hat += d_j * x_hat_j;
            }
        });
        total = row_sum(total) / c;
        along_x_hat = row_sum(along_x_hat) / c;
        each_held(c, [&](int k, int j) {
            // x_hat = (x - mean(x)) * rstd(x)
            const Pack more = ds ? load(ds + row + j) : Pack{};
            for (int e = 0; e < PACK; e++)
                d[k].at[e] = more.at[e] + scale * (d[k].at[e] - total - x_hat[k].at[e] * along_x_hat);
            store(dx + row + j, d[k]);
        });
    }
    each_held(c, [&](int k, int j) {
        store(parts + 2 * chunk * c + j, dweight[k]);
        store(parts + (2 * chunk + 1) * c + j, dbias[k]);
    });
}
