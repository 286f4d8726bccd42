// CUDA C++ for g++: what nvcc knows by itself, so that the sources of kernels compile and run on the CPU as they are.

#pragma once
#include <math.h>

#include <cstdint>

#include "fibers.h"

#undef INFINITY  // NVRTC has none of these
#undef NAN
#undef HUGE_VAL
#undef M_PI
#undef M_SQRT2
#undef M_SQRT1_2
#undef M_2_SQRTPI

#define __global__
#define __device__
#define __host__
#define __forceinline__ inline __attribute__((always_inline))
#define __noinline__ __attribute__((noinline))
#define __launch_bounds__(...)
#define __align__(n) __attribute__((aligned(n)))
#define __shared__ static __attribute__((section("emulated_shared")))
#define __constant__ static
#define __managed__ static
#define __grid_constant__

// --- waiting, and reading each other's registers ---------------------------------------------------------------------

#define __syncthreads() emulated::barrier(__LINE__)
#define __syncthreads_count(x) emulated::barrier(__LINE__, (x) != 0)
#define __syncthreads_or(x) (emulated::barrier(__LINE__, (x) != 0) > 0)
#define __syncthreads_and(x) (emulated::barrier(__LINE__, (x) != 0) == emulated::threads)
#define __syncwarp(...) emulated::sync_warp(__LINE__, ##__VA_ARGS__)
#define __shfl_sync(...) emulated::shuffle(__LINE__, emulated::BY_LANE, __VA_ARGS__)
#define __shfl_up_sync(...) emulated::shuffle(__LINE__, emulated::UP, __VA_ARGS__)
#define __shfl_down_sync(...) emulated::shuffle(__LINE__, emulated::DOWN, __VA_ARGS__)
#define __shfl_xor_sync(...) emulated::shuffle(__LINE__, emulated::XOR, __VA_ARGS__)
#define __ballot_sync(mask, x) emulated::ballot(__LINE__, mask, (x) != 0)
#define __any_sync(mask, x) (emulated::ballot(__LINE__, mask, (x) != 0) != 0)
#define __all_sync(mask, x) (emulated::ballot(__LINE__, mask, (x) != 0) == (mask))
#define __reduce_add_sync(mask, x) emulated::reduce(__LINE__, mask, x, [](auto a, auto b) { return a + b; })
#define __reduce_max_sync(mask, x) emulated::reduce(__LINE__, mask, x, [](auto a, auto b) { return a > b ? a : b; })
#define __reduce_min_sync(mask, x) emulated::reduce(__LINE__, mask, x, [](auto a, auto b) { return a < b ? a : b; })
#define __reduce_or_sync(mask, x) emulated::reduce(__LINE__, mask, x, [](auto a, auto b) { return a | b; })
#define __reduce_and_sync(mask, x) emulated::reduce(__LINE__, mask, x, [](auto a, auto b) { return a & b; })

namespace emulated {

enum Way { BY_LANE, UP, DOWN, XOR };

struct Nothing {};
static void sync_warp(int line, unsigned mask = 0xffffffff) {
    Nothing mine;
    together<Nothing>(mask, line, [](Nothing**, unsigned) {}, &mine);
}

template <typename T> struct Shuffled { T value, result; int from; };
template <typename T> static T shuffle(int line, Way way, unsigned mask, T value, int by, int width = 32) {
    const int lane = int(running - fibers) % 32, first = lane / width * width;
    int from = lane;
    if (way == BY_LANE) from = first + (by & (width - 1));
    if (way == UP && lane - by >= first) from = lane - by;
    if (way == DOWN && lane + by < first + width) from = lane + by;
    if (way == XOR && (lane ^ by) < first + width) from = lane ^ by;
    Shuffled<T> mine = {value, value, from};
    together<Shuffled<T>>(mask, line, [](Shuffled<T>** lanes, unsigned) {
        for (int i = 0; i < 32; i++) {
            if (!lanes[i]) continue;
            if (!lanes[lanes[i]->from]) fail("a shuffle reads a lane that is not in the mask");
            lanes[i]->result = lanes[lanes[i]->from]->value;
        }
    }, &mine);
    return mine.result;
}

struct Vote { bool x; unsigned all; };
static unsigned ballot(int line, unsigned mask, bool x) {
    Vote mine = {x, 0};
    together<Vote>(mask, line, [](Vote** lanes, unsigned) {
        unsigned all = 0;
        for (int i = 0; i < 32; i++) if (lanes[i] && lanes[i]->x) all |= 1u << i;
        for (int i = 0; i < 32; i++) if (lanes[i]) lanes[i]->all = all;
    }, &mine);
    return mine.all;
}

template <typename T, typename F> static T reduce(int line, unsigned mask, T x, F) {
    static_assert(std::is_integral_v<T> && sizeof(T) == 4, "__reduce_*_sync takes 32-bit integers");
    T mine = x;
    together<T>(mask, line, [](T** lanes, unsigned) {
        bool first = true;
        T all = 0;
        for (int i = 0; i < 32; i++) if (lanes[i]) all = first ? *lanes[i] : T((*(F*)nullptr)(all, *lanes[i])), first = false;
        for (int i = 0; i < 32; i++) if (lanes[i]) *lanes[i] = all;
    }, &mine);
    return mine;
}

// --- tensor cores ----------------------------------------------------------------------------------------------------
//
// d += a b, by a whole warp; which lane's registers hold which elements is laid down in the PTX ISA ("Matrix Fragments
// for mma.m16n8k16" and "mma.m16n8k8"). Row g = lane / 4 and column t = lane % 4 are a lane's place in what follows.

static float bits_to_float(unsigned bits) {
    float x;
    memcpy(&x, &bits, 4);
    return x;
}

struct Product { float* d; const unsigned *a, *b; };

// K = 16 for bfloat16, two elements a register, and 8 for TF32
template <int K> static void multiply(Product** lanes, unsigned) {
    float a[16][K], b[K][8];
    for (int lane = 0; lane < 32; lane++) {
        const int g = lane / 4, t = lane % 4;
        for (int r = 0; r < 4; r++) {  // registers of a: rows g and g + 8 in turn, then further right
            const int row = g + r % 2 * 8;
            const unsigned bits = lanes[lane]->a[r];
            if (K == 16) {
                const int column = t * 2 + r / 2 * 8;
                a[row][column] = bits_to_float(bits << 16);
                a[row][column + 1] = bits_to_float(bits & 0xffff0000u);
            } else {
                a[row][t + r / 2 * 4] = bits_to_float(bits & 0xffffe000u);  // 10 bits of the mantissa count
            }
        }
        for (int r = 0; r < 2; r++) {
            const unsigned bits = lanes[lane]->b[r];
            if (K == 16) {
                const int row = t * 2 + r * 8;
                b[row][g] = bits_to_float(bits << 16);
                b[row + 1][g] = bits_to_float(bits & 0xffff0000u);
            } else {
                b[t + r * 4][g] = bits_to_float(bits & 0xffffe000u);
            }
        }
    }
    for (int lane = 0; lane < 32; lane++) {
        for (int r = 0; r < 4; r++) {
            const int row = lane / 4 + r / 2 * 8, column = lane % 4 * 2 + r % 2;
            float sum = 0;
            for (int k = 0; k < K; k++) sum += a[row][k] * b[k][column];
            lanes[lane]->d[r] += sum;
        }
    }
}

template <int K> static void mma(int line, float (&d)[4], const unsigned (&a)[4], const unsigned (&b)[2]) {
    Product mine = {d, a, b};
    together<Product>(0xffffffff, line, multiply<K>, &mine);
}

}  // namespace emulated

#define mma_bf16(...) emulated::mma<16>(__LINE__, __VA_ARGS__)
#define mma_tf32(...) emulated::mma<8>(__LINE__, __VA_ARGS__)

// --- vectors ---------------------------------------------------------------------------------------------------------

#define EMULATED_VECTORS(T, NAME, SIZE)                                                                                \
    struct alignas(2 * SIZE) NAME##2 { T x, y; };                                                                      \
    struct NAME##3 { T x, y, z; };                                                                                     \
    struct alignas(4 * SIZE > 16 ? 16 : 4 * SIZE) NAME##4 { T x, y, z, w; };                                           \
    static inline NAME##2 make_##NAME##2(T x, T y) { return {x, y}; }                                                  \
    static inline NAME##3 make_##NAME##3(T x, T y, T z) { return {x, y, z}; }                                          \
    static inline NAME##4 make_##NAME##4(T x, T y, T z, T w) { return {x, y, z, w}; }
EMULATED_VECTORS(float, float, 4)
EMULATED_VECTORS(double, double, 8)
EMULATED_VECTORS(int, int, 4)
EMULATED_VECTORS(short, short, 2)
EMULATED_VECTORS(unsigned short, ushort, 2)
EMULATED_VECTORS(unsigned char, uchar, 1)
EMULATED_VECTORS(long long, longlong, 8)
struct alignas(8) uint2 { unsigned x, y; };
struct alignas(16) uint4 { unsigned x, y, z, w; };
static inline uint2 make_uint2(unsigned x, unsigned y) { return {x, y}; }
static inline uint4 make_uint4(unsigned x, unsigned y, unsigned z, unsigned w) { return {x, y, z, w}; }

// --- numbers ---------------------------------------------------------------------------------------------------------

template <typename A, typename B> static inline std::common_type_t<A, B> max(A a, B b) {
    using T = std::common_type_t<A, B>;
    if constexpr (std::is_floating_point_v<T>) return ::fmax(T(a), T(b));  // as in CUDA, a number rather than NaN
    else return T(a) > T(b) ? T(a) : T(b);
}
template <typename A, typename B> static inline std::common_type_t<A, B> min(A a, B b) {
    using T = std::common_type_t<A, B>;
    if constexpr (std::is_floating_point_v<T>) return ::fmin(T(a), T(b));
    else return T(a) < T(b) ? T(a) : T(b);
}

static inline float rsqrtf(float x) { return 1 / sqrtf(x); }
static inline float rsqrt(float x) { return 1 / sqrtf(x); }
static inline double rsqrt(double x) { return 1 / sqrt(x); }
// Names that the system's headers have taken for themselves
#define __expf(x) expf(x)
#define __exp10f(x) powf(10.0f, x)
#define __logf(x) logf(x)
#define __log2f(x) log2f(x)
#define __powf(x, y) powf(x, y)
#define __sinf(x) sinf(x)
#define __cosf(x) cosf(x)
static inline float __fdividef(float x, float y) { return x / y; }
static inline float fdividef(float x, float y) { return x / y; }
static inline float __frcp_rn(float x) { return 1 / x; }
static inline float __fsqrt_rn(float x) { return sqrtf(x); }
static inline float __frsqrt_rn(float x) { return 1 / sqrtf(x); }
static inline float __fadd_rn(float x, float y) { return x + y; }
static inline float __fsub_rn(float x, float y) { return x - y; }
static inline float __fmul_rn(float x, float y) { return x * y; }
static inline float __fdiv_rn(float x, float y) { return x / y; }
static inline float __fmaf_rn(float x, float y, float z) { return fmaf(x, y, z); }
static inline double __dadd_rn(double x, double y) { return x + y; }
static inline double __dmul_rn(double x, double y) { return x * y; }
static inline double __fma_rn(double x, double y, double z) { return fma(x, y, z); }
static inline float __saturatef(float x) { return x > 0 ? (x < 1 ? x : 1) : 0; }
static inline int __float2int_rn(float x) { return (int)rintf(x); }
static inline int __float2int_rz(float x) { return (int)x; }
static inline unsigned __float2uint_rn(float x) { return (unsigned)rintf(x); }
static inline float __int2float_rn(int x) { return (float)x; }
static inline float __uint2float_rn(unsigned x) { return (float)x; }

#define EMULATED_BITS(NAME, FROM, TO)                                                                                  \
    static inline TO NAME(FROM x) {                                                                                    \
        TO y;                                                                                                          \
        static_assert(sizeof x == sizeof y);                                                                           \
        memcpy(&y, &x, sizeof y);                                                                                      \
        return y;                                                                                                      \
    }
EMULATED_BITS(__float_as_uint, float, unsigned)
EMULATED_BITS(__float_as_int, float, int)
EMULATED_BITS(__uint_as_float, unsigned, float)
EMULATED_BITS(__int_as_float, int, float)
EMULATED_BITS(__double_as_longlong, double, long long)
EMULATED_BITS(__longlong_as_double, long long, double)

// What tensor_core.cuh has instructions for, besides mma
static inline unsigned bf16_bits(float x) {
    const unsigned bits = __float_as_uint(x);
    return x != x ? 0x7fff : (bits + 0x7fff + (bits >> 16 & 1)) >> 16;
}
static inline unsigned bf16_pair(float low, float high) { return bf16_bits(high) << 16 | bf16_bits(low); }
static inline float tf32(float x) { return x != x ? x : __uint_as_float((__float_as_uint(x) + 0x1000) & 0xffffe000); }
static inline float power_of_2(float x) { return exp2f(x); }

static inline int __popc(unsigned x) { return __builtin_popcount(x); }
static inline int __popcll(unsigned long long x) { return __builtin_popcountll(x); }
static inline int __ffs(int x) { return __builtin_ffs(x); }
static inline int __clz(int x) { return x ? __builtin_clz(x) : 32; }
static inline int __clzll(long long x) { return x ? __builtin_clzll(x) : 64; }
static inline unsigned __umulhi(unsigned a, unsigned b) { return (unsigned)((unsigned long long)a * b >> 32); }
static inline unsigned long long __umul64hi(unsigned long long a, unsigned long long b) {
    return (unsigned long long)((unsigned __int128)a * b >> 64);
}

// --- memory ----------------------------------------------------------------------------------------------------------

template <typename T> static inline T __ldg(const T* x) { return *x; }
template <typename T> static inline T __ldcg(const T* x) { return *x; }
template <typename T> static inline T __ldcs(const T* x) { return *x; }
template <typename T> static inline void __stcs(T* x, T value) { *x = value; }
template <typename T> static inline void __stcg(T* x, T value) { *x = value; }
static inline void __threadfence() {}
static inline void __threadfence_block() {}
static inline void __threadfence_system() {}
[[noreturn]] static inline void __trap() { emulated::fail("__trap()"); }

#define EMULATED_ATOMIC(NAME, RESULT)                                                                                  \
    template <typename T> static inline T NAME(T* x, std::type_identity_t<T> y) {                                      \
        const T old = *x;                                                                                              \
        *x = RESULT;                                                                                                   \
        return old;                                                                                                    \
    }
namespace std { template <typename T> struct type_identity { using type = T; };
template <typename T> using type_identity_t = typename type_identity<T>::type; }
EMULATED_ATOMIC(atomicAdd, old + y)
EMULATED_ATOMIC(atomicSub, old - y)
EMULATED_ATOMIC(atomicMax, old > y ? old : y)
EMULATED_ATOMIC(atomicMin, old < y ? old : y)
EMULATED_ATOMIC(atomicOr, old | y)
EMULATED_ATOMIC(atomicAnd, old & y)
EMULATED_ATOMIC(atomicExch, y)
template <typename T> static inline T atomicCAS(T* x, std::type_identity_t<T> expected, std::type_identity_t<T> y) {
    const T old = *x;
    if (old == expected) *x = y;
    return old;
}
