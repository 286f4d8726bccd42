// float32 to bfloat16, for products of bfloat16 numbers. One thread an element.

extern "C" __global__ void to_bfloat16(const real* x, bfloat16* y, int64 n) {
    const int64 i = thread_number();
    if (i < n) y[i] = bfloat16_of(x[i]);
}
