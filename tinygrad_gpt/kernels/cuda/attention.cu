// Attention, forward, without ever holding the (Tq, Tk) matrix of weights (ops/attention.py derives it;
// kernels/numba/attention.py explains the method: Dao et al., "FlashAttention", 2022; Dao, "FlashAttention-2", 2023).
//
//     S = scale q kᵀ,   P = exp(S - max),   y = P v / ΣP;   log ΣP + max is saved
//
//     keys ->             a block has 16 ROWS queries for each of its warps, of one head, and
//     +------+------+     goes from tile to tile of TILE keys, to the last that one of its
//     | tile | tile |     queries sees:
//   q +------+------+
//   u |  1   |  2 . |     1. all threads bring k and v of the tile to shared memory: k as it lies,
//   e |      |  .   |        v turned, a row for each column
//   r |      |.     |     2. a warp multiplies its queries with the tile's keys: scores, in registers
//   i +------+------+     3. makes weights of them ("online softmax")
//   e | next block  |     4. and multiplies those with the tile's v, adding to its y, in registers
//   s
//
// q stays in registers too, where they suffice (KEEP). So shared memory is read for the right operands alone, each byte
// once for 16 ROWS queries. Past the diagonal (the dots), a causal warp computes nothing.
//
// Powers are of 2, which is what the hardware makes: e^x = 2^(x log₂ e). A row is spread over four lanes
// (warp_matrix.cuh). Each adds up its own weights, and at the end the four add theirs.
//
// Read first: tensor_core.cuh, what the instructions for products do; warp_matrix.cuh, matrices dealt out to a
// warp and their products; flash/scores.cuh, which scores count.
// Two blocks to a multiprocessor (BLOCKS: each thread then has up to 255 registers) let one compute while the other
// waits for its tile.

#include "machine/tensor_core.cuh"
#include "machine/warp_matrix.cuh"
#include "flash/scores.cuh"

// The largest, and the sum, over the four lanes of a row
__device__ inline real row_max(real x) {
    x = max(x, __shfl_xor_sync(0xffffffff, x, 1));
    return max(x, __shfl_xor_sync(0xffffffff, x, 2));
}
__device__ inline real row_sum(real x) {
    x += __shfl_xor_sync(0xffffffff, x, 1);
    return x + __shfl_xor_sync(0xffffffff, x, 2);
}

constexpr int N = TILE / 32;  // Pieces across the tile's keys

// One row of scores: its weights in their place; y and total, what was summed before, scaled to the new peak. `scale`
// is in units of log₂ e.
__device__ inline void weigh(Piece (&s)[N], Piece (&y)[OUT], int e, real scale, real& peak, real& total) {
    real largest = peak;
#pragma unroll
    for (int n = 0; n < N; n++) {
#pragma unroll
        for (int h = 0; h < 4; h++) largest = max(largest, max(s[n].x[h][2 * e], s[n].x[h][2 * e + 1]));
    }
    largest = row_max(largest);
    const real base = largest == -infinity() ? 0 : largest * scale;  // (-inf) - (-inf) would be nan
    const real shrink = power_of_2(peak * scale - base);
    peak = largest;
    total *= shrink;
#pragma unroll
    for (int n = 0; n < 8 * N; n++) {
        real& x = s[n / 8].at(e, n % 8);
        x = power_of_2(x * scale - base);
        total += x;
    }
#pragma unroll
    for (int n = 0; n < 8 * OUT; n++) y[n / 8].at(e, n % 8) *= shrink;
}

// q (B, H, Tq, D), k and v (B, H, Tk, D), each with strides for B, H and T; y laid out (B, Tq, H, D); lse (B, H, Tq),
// the log₂ of the sum of 2^(scale log₂ e · score). A block for each tile of queries of each head, and for each COLUMNS
// columns of y where D is too large for one block.
extern "C" __global__ void __launch_bounds__(THREADS, BLOCKS) forward(
    STRIDED(q), STRIDED(k), STRIDED(v), SCORES_PARAMETERS, real score_scale, real* y_all, real* lse) {
    extern __shared__ __align__(16) real shared[];
    Word* const k_tile = (Word*)shared;                       // (TILE, DEPTH)
    Word* const v_turned = k_tile + TILE * row_words(DEPTH);  // (COLUMNS, TILE)

    constexpr int QUERIES = 16 * ROWS * (THREADS / WARP);
    const auto [start, column, head] = this_part(tq, QUERIES, true);  // queries that see most keys begin first
    const int64 b = head / heads, h = head % heads;
    const Scores scores = SCORES_OF(b, h);
    const int i_first = start + threadIdx.x / WARP * 16 * ROWS;  // this warp's first query
    const Rows k_rows = ROWS_OF(k, tk), v_rows = ROWS_OF(v, tk);
    const LeftRows<ROWS, KEEP> q_rows(ROWS_OF(q, tq).from(i_first));
    const real scale = score_scale * LOG2_E;

    Piece y[ROWS][OUT];
    real peak[ROWS][2], total[ROWS][2];
#pragma unroll
    for (int r = 0; r < ROWS; r++) peak[r][0] = peak[r][1] = -infinity(), total[r][0] = total[r][1] = 0;

    const int keys = causal ? min(scores.tk, start + QUERIES + scores.past()) : scores.tk;
    for (int j_first = 0; j_first < keys; j_first += TILE) {
        __syncthreads();  // all have done with the tile before
        load_tile<true, false>(k_rows.from(j_first), k_tile, nullptr, 0);
        load_tile<false, true>(v_rows.from(j_first), nullptr, v_turned, column);
        __syncthreads();
        if (causal && j_first > i_first + 16 * ROWS - 1 + scores.past()) continue;  // no query of this warp sees them

        // S = q kᵀ: (queries, D) @ (D, keys)
        Piece s[ROWS][N];
        q_rows.times(s, k_tile);
        const bool all_seen = scores.all_seen(i_first, j_first + TILE);
#pragma unroll
        for (int r = 0; r < ROWS; r++) {
#pragma unroll
            for (int e = 0; e < 2; e++) {
                const int i = i_first + 16 * r + 8 * e + lane_g(), j = j_first + 8 * lane_t();
                if (!all_seen) {
#pragma unroll
                    for (int n = 0; n < 8 * N; n++) {
                        real& x = s[r][n / 8].at(e, n % 8);
                        x = scores.masked(x, i, j + n / 8 * 32 + n % 8, 1 / score_scale);
                    }
                }
                weigh(s[r], y[r], e, scale, peak[r][e], total[r][e]);
                if (threshold) {
#pragma unroll
                    for (int n = 0; n < 8 * N; n++) {
                        real& x = s[r][n / 8].at(e, n % 8);
                        x = scores.kept(x, i, j + n / 8 * 32 + n % 8);
                    }
                }
            }
        }
        // y += P v: (queries, keys) @ (keys, D)
#pragma unroll
        for (int n = 0; n < N; n++) {
            Left p[ROWS];
#pragma unroll
            for (int r = 0; r < ROWS; r++) p[r] = as_left(s[r][n]);
            multiply<TILE>(y, p, v_turned, n);
        }
    }

    real factor[ROWS][2];
#pragma unroll
    for (int r = 0; r < ROWS; r++) {
#pragma unroll
        for (int e = 0; e < 2; e++) {
            const real sum = row_sum(total[r][e]);
            const int i = i_first + 16 * r + 8 * e + lane_g();
            factor[r][e] = sum == 0 ? 0 : 1 / sum;  // a query that sees nothing: 0
            if (column == 0 && lane_t() == 0 && i < tq)
                lse[head * tq + i] = sum == 0 ? infinity() : peak[r][e] * scale + log2(sum);
        }
    }
    write_rows(y_all + ((b * tq + i_first) * heads + h) * d, heads * d, scores.tq - i_first, d, column, y, factor);
}
