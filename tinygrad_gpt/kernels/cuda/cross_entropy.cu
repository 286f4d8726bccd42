// Softmax cross-entropy of R rows of V logits (ops/cross_entropy.py derives it).
//
// SMOOTHED, 0 or 1, says whether there is label smoothing, which alone needs the mean of the logits.

#include "machine/rows.cuh"

__device__ inline real not_a_number() { return sqrt(real(-1)); }

// The loss of each row, its peak and the sum of exponentials relative to it, in one pass. A row to ignore is not read.
extern "C" __global__ void forward(const real* z, const int64* targets, int64 ignore_index, real smoothing, real* loss,
                                   real* peak, real* total, int64 r, int64 classes) {
    const int64 i = row_number();
    if (i >= r) return;
    const int v = classes;
    const int64 t = targets[i];
    real loss_i = 0;
    PeakAndTotal of_row = {0, 1};
    if (t != ignore_index) {
        z += i * v;
        // The mean is taken relative to a number near the logits: where they are large and nearly equal, what tells them
        // apart would be lost in the sum.
        const real near = z[0] - z[0] == 0 ? z[0] : 0;  // 0 if z[0] is not finite
        real distance = 0;
        of_row = peak_and_total(z, v, [&](real z_j) {
            if (SMOOTHED) distance += z_j - near;
        });
        const real log_total = log(of_row.total);
        // loss = log(total) - (1 - smoothing) * d[t] - smoothing * mean(d),  d = z - peak
        const real z_t = t >= 0 && t < v ? z[t] : not_a_number();
        loss_i = log_total - (1 - smoothing) * (z_t - of_row.peak);
        if (SMOOTHED) loss_i -= smoothing * (row_sum(distance) / v + (near - of_row.peak));
    }
    if (threadIdx.x == 0) {
        loss[i] = loss_i;
        peak[i] = of_row.peak;
        total[i] = of_row.total;
    }
}

// One block: y, the sum of the losses or their mean, and what it was divided by.
extern "C" __global__ void reduce(const real* loss, const int64* targets, int64 ignore_index, int64 mean, real* y,
                                  real* divisor, int64 r) {
    double total = 0, counted = 0;
    for (int64 i = threadIdx.x; i < r; i += blockDim.x) {
        total += loss[i];
        counted += targets[i] != ignore_index;
    }
    total = block_sum(total);
    counted = block_sum(counted);
    if (threadIdx.x == 0) {
        *divisor = mean ? counted : 1;
        *y = mean ? total / counted : total;
    }
}

// dz may be z itself. dy has one number for all rows (dy_step 0) or one for each (dy_step 1, and no divisor).
extern "C" __global__ void backward(const real* dy, int64 dy_step, const real* divisor, const real* z,
                                    const int64* targets, int64 ignore_index, real smoothing, const real* peak,
                                    const real* total, real* dz, int64 r, int64 classes) {
    const int64 i = row_number();
    if (i >= r) return;
    const int v = classes;
    const bool counts = targets[i] != ignore_index, known = targets[i] >= 0 && targets[i] < v;
    const int t = known ? targets[i] : -1;
    const real scale = known ? dy[i * dy_step] / (divisor ? *divisor : 1) : not_a_number();
    const real everywhere = smoothing / v, peak_i = peak[i], part = 1 / total[i];
    z += i * v, dz += i * v;
    each_pack(z, v, [&](int j, Pack p) {
        for (int k = 0; k < PACK; k++) {
            const real wanted = everywhere + (j + k == t ? 1 - smoothing : 0);
            p.at[k] = counts ? (exp(p.at[k] - peak_i) * part - wanted) * scale : 0;
        }
        store(dz + j, p);
    });
}
