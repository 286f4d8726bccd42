// float32 to bfloat16, for products of bfloat16 numbers: (R, C) whose rows are `x_apart` elements apart, to rows that are
// `y_apart` apart. A thread has one column, in every gridDim.y-th row.

extern "C" __global__ void to_bfloat16(const real* x, bfloat16* y, int64 r, int64 c, int64 x_apart, int64 y_apart) {
    const int64 column = thread_number();
    if (column >= c) return;
    for (int64 row = blockIdx.y; row < r; row += gridDim.y) {
        y[row * y_apart + column] = bfloat16_of(x[row * x_apart + column]);
    }
}
