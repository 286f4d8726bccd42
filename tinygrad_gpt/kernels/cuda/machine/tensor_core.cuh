// Tensor cores: a warp multiplies two small matrices in one instruction. And roundings that go with them.
//
// d += a b, with a (16, K) and b (K, 8) dealt out to the registers of 32 lanes, d (16, 8) too. With g = lane / 4 and
// t = lane % 4, and with "place" for the numbering along K (PTX ISA, "Matrix fragments for mma.m16n8k16" and m16n8k8):
//
//     d[0], d[1]   row g, columns 2t and 2t + 1;            d[2], d[3]  the same of row g + 8
//     a[0], a[1]   rows g and g + 8, place t;               a[2], a[3]  the same, place t + 4
//     b[0], b[1]   column g, places t and t + 4
//
// That is TF32: 8 places, one float a register, of which the upper 19 bits count (10 of the mantissa). bfloat16 has two
// numbers in each register and thus 16 places: register pair t holds places 2t and 2t + 1, the pair t + 4 those 8 on.

#ifndef CUDA_ON_CPU  // which brings its own

// (volatile: all lanes take part, so the compiler is not to move it to where only some of them go.)
#define MMA(NAME, SIZES_AND_TYPES)                                                                                     \
    __device__ inline void NAME(float (&d)[4], const unsigned (&a)[4], const unsigned (&b)[2]) {                       \
        asm volatile("mma.sync.aligned." SIZES_AND_TYPES                                                               \
                     " {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};"                                \
                     : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])                                                  \
                     : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));                              \
    }
MMA(mma_bf16, "m16n8k16.row.col.f32.bf16.bf16.f32")
MMA(mma_tf32, "m16n8k8.row.col.f32.tf32.tf32.f32")

// Two numbers rounded to bfloat16, `low` in the lower half; to the nearest, at a tie to the even.
__device__ inline unsigned bf16_pair(float low, float high) {
    unsigned pair;
    asm("cvt.rn.bf16x2.f32 %0, %1, %2;" : "=r"(pair) : "f"(high), "f"(low));
    return pair;
}

// x rounded to TF32; to the nearest, at a tie away from 0.
__device__ inline float tf32(float x) {
    unsigned bits;
    asm("cvt.rna.tf32.f32 %0, %1;" : "=r"(bits) : "f"(x));
    return __uint_as_float(bits);
}

// 2^x by the special function unit: relative error below 2^-22, and 0 below 2^-126.
__device__ inline float power_of_2(float x) {
    float y;
    asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x));
    return y;
}

#endif

__device__ inline double power_of_2(double x) { return exp2(x); }
