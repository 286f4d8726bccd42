// What kernels share that work on rows of c numbers.
//
// Each row is given to the threads of equal threadIdx.y: one warp where rows are short, which needs no barrier, so that a
// block has several rows; else all threads of a block (layout.over_rows).
//
// They load and store PACK numbers at once: 16 bytes, the most that one instruction can, where all rows begin at an
// address that is a multiple of it; else one number at a time. And since loads don't wait for each other, a thread asks
// for AT_ONCE packs before it looks at the first, to keep the memory busy.

#ifndef PACK
#define PACK 1
#endif
constexpr int AT_ONCE = PACK == 1 ? 8 : 4;

template <int N> struct alignas(N * sizeof(real)) Packed { real at[N]; };
using Pack = Packed<PACK>;

__device__ inline Pack load(const real* from) { return *(const Pack*)from; }
__device__ inline void store(real* to, const Pack& numbers) { *(Pack*)to = numbers; }

__device__ inline int64 row_number() { return (int64)blockIdx.x * blockDim.y + threadIdx.y; }

// The sum, and the largest, over the threads of a row.
template <typename T> __device__ inline T row_sum(T x) { return blockDim.x == WARP ? warp_sum(x) : block_sum(x); }
template <typename T> __device__ inline T row_max(T x) { return blockDim.x == WARP ? warp_max(x) : block_max(x); }

// Calls use(j, pack) for each pack of the row that is this thread's; j is the place of its first number.
template <typename F> __device__ inline void each_pack(const real* row, int c, F use) {
    const int step = blockDim.x * PACK;
    for (int first = threadIdx.x * PACK; first < c; first += AT_ONCE * step) {
        Pack packs[AT_ONCE];
#pragma unroll
        for (int k = 0; k < AT_ONCE; k++)
            if (first + k * step < c) packs[k] = load(row + first + k * step);
#pragma unroll
        for (int k = 0; k < AT_ONCE; k++)
            if (first + k * step < c) use(first + k * step, packs[k]);
    }
}

// The same for two rows: use(j, pack of a, pack of b).
template <typename F> __device__ inline void each_pack(const real* a, const real* b, int c, F use) {
    const int step = blockDim.x * PACK;
    for (int first = threadIdx.x * PACK; first < c; first += AT_ONCE * step) {
        Pack of_a[AT_ONCE], of_b[AT_ONCE];
#pragma unroll
        for (int k = 0; k < AT_ONCE; k++)
            if (first + k * step < c) {
                of_a[k] = load(a + first + k * step);
                of_b[k] = load(b + first + k * step);
            }
#pragma unroll
        for (int k = 0; k < AT_ONCE; k++)
            if (first + k * step < c) use(first + k * step, of_a[k], of_b[k]);
    }
}

// The largest number z of a row, and the sum of exp(z - largest), in one pass: a sum that was made relative to a smaller
// number is scaled when a larger one turns up. `visit` is called with each number that is this thread's.
//
// The first `peak` is LOWEST and not -inf, relative to which exp(-inf) would be nan.
constexpr real LOWEST = sizeof(real) == 4 ? real(-3.4028234663852886e38) : real(-1.7976931348623157e308);

struct PeakAndTotal { real peak, total; };

template <typename F> __device__ inline PeakAndTotal peak_and_total(const real* row, int c, F visit) {
    real peak = LOWEST, total = 0;
    const int step = blockDim.x * PACK;
    for (int first = threadIdx.x * PACK; first < c; first += AT_ONCE * step) {
        Pack z[AT_ONCE];
        real top = peak;
#pragma unroll
        for (int k = 0; k < AT_ONCE; k++)
            if (first + k * step < c) z[k] = load(row + first + k * step);
#pragma unroll
        for (int k = 0; k < AT_ONCE; k++)
            if (first + k * step < c)
                for (real z_j : z[k].at) top = z_j > top ? z_j : top;
        if (top > peak) {
            total *= exp(peak - top);
            peak = top;
        }
#pragma unroll
        for (int k = 0; k < AT_ONCE; k++)
            if (first + k * step < c)
                for (real z_j : z[k].at) {
                    total += exp(z_j - peak);
                    visit(z_j);
                }
    }
    const real top = row_max(peak);
    return {top, row_sum(total * exp(peak - top))};
}
