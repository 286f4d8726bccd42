// What all kernels share; it is put before each of them (see source.py). REAL is float or double.

using real = REAL;
using int64 = long long;
using uint64 = unsigned long long;

constexpr int WARP = 32;

// This thread's number in the whole grid, for kernels in which each thread has one element.
__device__ inline int64 thread_number() { return (int64)blockIdx.x * blockDim.x + threadIdx.x; }

// --- sums over threads -----------------------------------------------------------------------------------------------
//
// A tree: each thread adds the number of the thread 16 places away, then 8, 4, 2, 1. All end with the same sum, added in
// the same order each time.

template <typename T> __device__ inline T warp_sum(T x) {
    for (int away = WARP / 2; away > 0; away /= 2) x += __shfl_xor_sync(0xffffffff, x, away);
    return x;
}

template <typename T> __device__ inline T warp_max(T x) {
    for (int away = WARP / 2; away > 0; away /= 2) {
        T other = __shfl_xor_sync(0xffffffff, x, away);
        x = other > x ? other : x;
    }
    return x;
}

// What `over_warp` makes of a warp's numbers, for all threads of a block, which every one of them gets. Blocks are of
// whole warps, 32 at most; `idle` stands for those that are not there.
template <typename T, typename F> __device__ inline T over_block(T x, T idle, F over_warp) {
    __shared__ T of_warp[WARP];
    const int lane = threadIdx.x % WARP, warp = threadIdx.x / WARP, warps = blockDim.x / WARP;
    x = over_warp(x);
    __syncthreads();  // all have read of_warp in an earlier call
    if (lane == 0) of_warp[warp] = x;
    __syncthreads();
    return over_warp(lane < warps ? of_warp[lane] : idle);
}

template <typename T> __device__ inline T block_sum(T x) { return over_block(x, T(0), warp_sum<T>); }
template <typename T> __device__ inline T block_max(T x) { return over_block(x, x, warp_max<T>); }  // x is not NaN

// --- bfloat16 --------------------------------------------------------------------------------------------------------
//
// The upper half of a float32: its sign, its exponent, and 7 bits of its mantissa.

using bfloat16 = unsigned short;

// The nearest bfloat16, at a tie the even one. What is added carries into the upper half where the lower one is above a
// half of its last bit, or at a half and that bit is odd. NaN stays NaN.
__device__ inline bfloat16 bfloat16_of(float x) {
    const unsigned bits = __float_as_uint(x), upper = bits >> 16;
    if ((bits & 0x7fffffff) > 0x7f800000) return upper | 0x40;
    return (bits + 0x7fff + (upper & 1)) >> 16;
}

// --- random bits -----------------------------------------------------------------------------------------------------

// The seed that a kernel is to use: known when it was queued, or (in a recorded step) read when it runs.
__device__ inline uint64 seed_of(const uint64* place, int64 seed) { return place ? *place : (uint64)seed; }

// The 24 bits that random_stream.random_bits gives element n, where it is derived.
__device__ inline uint64 random_bits(uint64 seed, uint64 n) {
    uint64 z = seed + (n + 1) * 0x9E3779B97F4A7C15ULL;
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9ULL;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBULL;
    return (z ^ (z >> 31)) >> 40;
}
