// Sums of columns, of `rows` rows a block: (R, C) -> (ceil(R / rows), C). sum_rows.py calls it until one row is left.
//
// A warp reads 32 neighbouring columns of one row, which lie side by side in memory. The warps of a block take its rows
// in turn, and at the end the first of them adds up what all have, column by column.

constexpr int WARPS = 8;

extern "C" __global__ void part_sums(const real* x, real* sums, int64 r, int64 c, int64 rows) {
    __shared__ real of_warp[WARPS][WARP];
    const int lane = threadIdx.x % WARP, warp = threadIdx.x / WARP;
    const int64 column = (int64)blockIdx.x * WARP + lane, first = blockIdx.y * rows;
    const int64 end = first + rows < r ? first + rows : r;
    real sum = 0;
    if (column < c) {
        for (int64 row = first + warp; row < end; row += WARPS) sum += x[row * c + column];
    }
    of_warp[warp][lane] = sum;
    __syncthreads();
    if (warp > 0 || column >= c) return;
    for (int other = 1; other < WARPS; other++) sum += of_warp[other][lane];
    sums[blockIdx.y * c + column] = sum;
}
