// The sum of squares of many arrays, in float64 (ops/sum_squares.py): each block sums a piece, then one block the pieces.

#include "machine/many.cuh"

extern "C" __global__ void pieces(const Table table, double* sums) {
    const Piece piece = this_piece(table);
    const real* x = table.first[piece.array][0];
    double total = 0;
    int64 wide_end = piece.first;  // up to where packs may be used
    if (is_aligned(x)) wide_end += (piece.last - piece.first) / WIDE * WIDE;
#pragma unroll 4
    for (int64 i = piece.first + threadIdx.x * WIDE; i < wide_end; i += blockDim.x * WIDE) {
        const Packed<WIDE> some = *(const Packed<WIDE>*)(x + i);
        for (double x_k : some.at) total += x_k * x_k;
    }
    for (int64 i = wide_end + threadIdx.x; i < piece.last; i += blockDim.x) total += (double)x[i] * x[i];
    total = block_sum(total);
    if (threadIdx.x == 0) sums[blockIdx.x] = total;
}

extern "C" __global__ void sum(const double* sums, double* total, int64 n) {
    double own = 0;
#pragma unroll 4
    for (int64 i = threadIdx.x; i < n; i += blockDim.x) own += sums[i];
    own = block_sum(own);
    if (threadIdx.x == 0) *total = own;
}
