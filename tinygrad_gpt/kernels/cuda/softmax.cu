// Softmax and its logarithm along rows of c numbers (ops/softmax.py and ops/log_softmax.py derive them).
//
// A row is read twice, the second time from the cache.

#include "machine/rows.cuh"

extern "C" __global__ void forward(const real* x, real* y, int64 r, int64 columns, int64 logarithm) {
    const int64 i = row_number();
    if (i >= r) return;
    const int c = columns;
    x += i * c, y += i * c;
    const PeakAndTotal of_row = peak_and_total(x, c, [](real) {});
    const real log_total = log(of_row.total);
    each_pack(x, c, [&](int j, Pack z) {
        for (real& z_j : z.at) {
            const real shifted = z_j - of_row.peak;
            z_j = logarithm ? shifted - log_total : exp(shifted) / of_row.total;
        }
        store(y + j, z);
    });
}

extern "C" __global__ void backward(const real* dy, const real* y, real* dx, int64 r, int64 columns, int64 logarithm) {
    const int64 i = row_number();
    if (i >= r) return;
    const int c = columns;
    dy += i * c, y += i * c, dx += i * c;
    real total = 0;
    each_pack(dy, y, c, [&](int, Pack g, Pack p) {
        for (int k = 0; k < PACK; k++) total += logarithm ? g.at[k] : g.at[k] * p.at[k];
    });
    total = row_sum(total);
    each_pack(dy, y, c, [&](int j, Pack g, Pack p) {
        for (int k = 0; k < PACK; k++)
            g.at[k] = logarithm ? g.at[k] - exp(p.at[k]) * total : p.at[k] * (g.at[k] - total);
        store(dx + j, g);
    });
}
