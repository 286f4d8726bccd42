// Dropout, forward and backward alike (ops/dropout.py): PACK elements a thread, each with the random bits of its number.

#include "machine/rows.cuh"

extern "C" __global__ void keep_or_drop(const real* x, real* y, int64 n, const uint64* place, int64 number,
                                        int64 threshold, real scale) {
    const uint64 seed = seed_of(place, number);
    const int64 first = thread_number() * PACK;
    if (first >= n) return;
    Pack some = load(x + first);
    for (int k = 0; k < PACK; k++)
        some.at[k] = random_bits(seed, first + k) >= (uint64)threshold ? some.at[k] * scale : 0;
    store(y + first, some);
}
