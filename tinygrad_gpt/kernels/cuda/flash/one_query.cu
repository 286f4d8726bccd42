// Attention of few queries to many keys: a new token looks at the cache of those before it. No gradient, no dropout;
// the numbers are attention.cu's. Each key and value is read once and used once, so that memory is what limits it:
// as many blocks as it takes to keep all of it busy, and 16 bytes for each lane at a time.
//
//     keys    0 1 2 3 | 4 5 6 7 | ...      eight lanes have a key: lane l its columns 4 l + 32 m, and so its 128
//             warp 0  | warp 1  | ...      adjacent bytes; four keys for a warp at once, 16 for a block
//
// Each eight lanes go through keys of their own, with an online softmax of their own: the largest score so far, the sum
// of weights 2^(score - largest), and the weights times v. Such a State says all about the keys it has seen; two are
// merged by scaling both to the larger maximum. A block merges its 16, and where the keys of a head are dealt out to
// several blocks, `merge` merges theirs. Always in the same order.

#include "machine/tensor_core.cuh"
#include "machine/warp_matrix.cuh"
#include "flash/scores.cuh"

constexpr int LANES = 8, GROUPS = THREADS / LANES, STATE = DEPTH + 2;  // a State: largest, sum, y (DEPTH)
constexpr int AT_ONCE = DEPTH <= 64 ? 4 : DEPTH <= 128 ? 2 : 1;        // keys on their way for each eight lanes

// y (d) and lse from `count` States, each thread some columns; or with `merged`, one State
__device__ void merge_states(const real* states, int count, int d, real* y, real* lse, real* merged) {
    real largest = -infinity(), sum = 0;
    for (int s = 0; s < count; s++) largest = max(largest, states[s * STATE]);
    const real base = largest == -infinity() ? 0 : largest;
    for (int s = 0; s < count; s++) sum += states[s * STATE + 1] * power_of_2(states[s * STATE] - base);
    for (int c = threadIdx.x; c < d; c += THREADS) {
        real total = 0;
        for (int s = 0; s < count; s++) total += states[s * STATE + 2 + c] * power_of_2(states[s * STATE] - base);
        if (merged) merged[2 + c] = total;
        else y[c] = sum == 0 ? 0 : total / sum;
    }
    if (threadIdx.x != 0) return;
    if (merged) merged[0] = largest, merged[1] = sum;
    else *lse = sum == 0 ? infinity() : largest + log2(sum);
}

// A block for each `keys` keys of each query of each head; its State to `states`, or y and lse where it has all keys.
extern "C" __global__ void __launch_bounds__(THREADS) attend(
    STRIDED(q), STRIDED(k), STRIDED(v), SCORES_PARAMETERS, real score_scale, real* y_all, real* lse, real* states,
    int64 keys) {
    __shared__ real of_groups[GROUPS * STATE];
    const int parts = (tk + keys - 1) / keys;
    const int part = blockIdx.x % parts, i = blockIdx.x / parts % tq;
    const int64 head = blockIdx.x / parts / tq, b = head / heads, h = head % heads;
    const Scores scores = SCORES_OF(b, h);
    const int group = threadIdx.x / LANES, lane = threadIdx.x % LANES;
    const Rows q_rows = ROWS_OF(q, tq), k_rows = ROWS_OF(k, tk), v_rows = ROWS_OF(v, tk);
    const int end = min(scores.tk, int((part + 1) * keys));

    real query[SLABS][4], y[SLABS][4] = {}, largest = -infinity(), sum = 0;
#pragma unroll
    for (int m = 0; m < SLABS; m++) {
        const int c = 4 * lane + 32 * m;
        q_rows.read(query[m], i, c);
#pragma unroll
        for (int x = 0; x < 4; x++) query[m][x] *= score_scale * LOG2_E;
    }
    for (int first = part * keys; first < end; first += AT_ONCE * GROUPS) {
        real key[AT_ONCE][SLABS][4], value[AT_ONCE][SLABS][4];
#pragma unroll
        for (int n = 0; n < AT_ONCE; n++) {
            const int j = first + n * GROUPS + group;
#pragma unroll
            for (int m = 0; m < SLABS; m++) {
                const int c = 4 * lane + 32 * m, there = j < end ? d - c : 0;
                read_4(key[n][m], k_rows.from(j).first + c, there);
                read_4(value[n][m], v_rows.from(j).first + c, there);
            }
        }
#pragma unroll
        for (int n = 0; n < AT_ONCE; n++) {
            const int j = first + n * GROUPS + group;
            real score = 0;
#pragma unroll
            for (int m = 0; m < 4 * SLABS; m++) score += query[m / 4][m % 4] * key[n][m / 4][m % 4];
            for (int away = LANES / 2; away > 0; away /= 2) score += __shfl_xor_sync(0xffffffff, score, away);
            score = j < end ? scores.masked(score, i, j, LOG2_E) : -infinity();
            const real before = largest;
            largest = max(largest, score);
            const real base = largest == -infinity() ? 0 : largest;
            const real shrink = power_of_2(before - base), weight = power_of_2(score - base);
            sum = sum * shrink + weight;
#pragma unroll
            for (int m = 0; m < 4 * SLABS; m++) {
                y[m / 4][m % 4] = y[m / 4][m % 4] * shrink + weight * value[n][m / 4][m % 4];
            }
        }
    }
    real* const state = of_groups + group * STATE;
    if (lane == 0) state[0] = largest, state[1] = sum;
#pragma unroll
    for (int m = 0; m < 4 * SLABS; m++) state[2 + 4 * lane + 32 * (m / 4) + m % 4] = y[m / 4][m % 4];
    __syncthreads();
    real* const y_row = y_all + ((b * tq + i) * heads + h) * d;
    real* const merged = parts == 1 ? nullptr : states + (int64)blockIdx.x * STATE;
    merge_states(of_groups, GROUPS, d, y_row, lse + head * tq + i, merged);
}

// A block for each query of each head: the States of its `parts` blocks.
extern "C" __global__ void __launch_bounds__(THREADS) merge(const real* states, int64 parts, int64 heads, int64 tq,
                                                            int64 d, real* y_all, real* lse) {
    const int64 i = blockIdx.x % tq, head = blockIdx.x / tq, b = head / heads, h = head % heads;
    real* const y_row = y_all + ((b * tq + i) * heads + h) * d;
    merge_states(states + blockIdx.x * parts * STATE, parts, d, y_row, lse + head * tq + i, nullptr);
}
