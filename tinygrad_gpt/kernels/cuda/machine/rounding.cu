// float32 to bfloat16, for products of bfloat16 numbers: from (R, C) with rows `x_apart` elements apart to rows `y_apart`
// apart. A thread has PACK columns of ROWS rows, and loads all of them before it rounds the first.

#include "machine/rows.cuh"

constexpr int ROWS = 4;

struct alignas(PACK * sizeof(bfloat16)) Rounded { bfloat16 at[PACK]; };

extern "C" __global__ void to_bfloat16(const real* x, bfloat16* y, int64 r, int64 c, int64 x_apart, int64 y_apart) {
    const int64 column = thread_number() * PACK;
    if (column >= c) return;
    for (int64 first = blockIdx.y * ROWS; first < r; first += gridDim.y * ROWS) {
        Pack packs[ROWS];
#pragma unroll
        for (int k = 0; k < ROWS; k++)
            if (first + k < r) packs[k] = load(x + (first + k) * x_apart + column);
#pragma unroll
        for (int k = 0; k < ROWS; k++) {
            if (first + k >= r) return;
            Rounded rounded;
            for (int e = 0; e < PACK; e++) rounded.at[e] = bfloat16_of(packs[k].at[e]);
            *(Rounded*)(y + (first + k) * y_apart + column) = rounded;
        }
    }
}
