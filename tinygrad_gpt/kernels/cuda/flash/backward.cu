// Attention, backward. Nothing of the (Tq, Tk) matrices was saved but the log-sum-exp of each row:
//
//     P = exp(S - lse),   dP = dy vᵀ,   dS = P (dP - dy · y),   dv = Pᵀ dy,   dk = scale dSᵀ q,   dq = scale dS k
//
// Three kernels:
//     dy_dot_y  the number dy · y of each query
//     dk_dv     a block has a tile of keys of one head, and goes through the queries that see them
//     dq        a block has a tile of queries, and goes through the keys that they see; dS of a mask that is added is
//               written on the way
//
// S and dP are computed in both of the latter. Where one kernel made all three, blocks would add to the same dq, in an
// order that differs from run to run; here each number has one author, and a run repeats bit for bit. It costs 7
// products in place of 5.
//
//              dk_dv                                 dq
//     queries ->                            keys ->
//   k +--------+--------+-----            q +--------+--------+-----
//   e | Sᵀ dPᵀ |        |  ...            u | S  dP  |        |  ...
//   y +--------+--------+-----            e +--------+--------+-----
//   s   a warp: 16 ROWS keys              r   a warp: 16 ROWS queries
//
// A warp has the same pattern in both: two products with 32 of the tile's rows (straight), 32 columns of P and dS made of
// them in registers, and those multiplied with the tile's rows (turned) and added to the result.

#include "machine/tensor_core.cuh"
#include "machine/warp_matrix.cuh"
#include "flash/scores.cuh"

constexpr int ACROSS = 16 * ROWS * (THREADS / WARP);  // rows of the result that a block makes
constexpr int STRAIGHT = TILE * row_words(DEPTH), TURNED = COLUMNS * row_words(TILE);  // words of a tile

// dot (B, H, Tq) = Σ dy y over D; a warp for each. y is laid out (B, Tq, H, D).
extern "C" __global__ void dy_dot_y(STRIDED(dy), const real* y, int64 batch, int64 heads, int64 tq, int64 d,
                                    real* dot) {
    const int64 row = thread_number() / WARP;
    if (row >= batch * heads * tq) return;
    const int64 i = row % tq, h = row / tq % heads, b = row / tq / heads;
    const real* dy_row = dy + b * dy_b + h * dy_h + i * dy_t;
    const real* y_row = y + ((b * tq + i) * heads + h) * d;
    real sum = 0;
    for (int c = threadIdx.x % WARP; c < d; c += WARP) sum += dy_row[c] * y_row[c];
    sum = warp_sum(sum);
    if (threadIdx.x % WARP == 0) dot[row] = sum;
}

// A score becomes P, and dP becomes dS; P is returned as dropout left it, as dv wants it.
__device__ inline real weight_and_gradient(const Scores& scores, bool all_seen, int i, int j, real scale, real lse,
                                           real dot, real score, real& ds) {
    if (ADDED) score = scores.masked(score, i, j, LOG2_E / scale);
    real p = power_of_2(score * scale - lse), dp = ds;
    if (!all_seen && !scores.sees(i, j)) p = 0;
    real kept = p;
    if (scores.threshold) dp = scores.kept(dp, i, j), kept = scores.kept(p, i, j);
    ds = p * (dp - dot);
    return kept;
}

extern "C" __global__ void __launch_bounds__(THREADS, BLOCKS) dk_dv(
    STRIDED(q), STRIDED(k), STRIDED(v), STRIDED(dy), SCORES_PARAMETERS, real score_scale, const real* lse,
    const real* dot, real* dk_all, real* dv_all, int64 row) {
    extern __shared__ __align__(16) real shared[];
    Word* const q_tile = (Word*)shared;
    Word* const dy_tile = q_tile + STRAIGHT;
    Word* const q_turned = dy_tile + STRAIGHT;
    Word* const dy_turned = q_turned + TURNED;
    real* const tile_lse = (real*)(dy_turned + TURNED);
    real* const tile_dot = tile_lse + TILE;

    const auto [start, column, head] = this_part(tk, ACROSS, false);
    const int64 b = head / heads, h = head % heads;
    const Scores scores = SCORES_OF(b, h);
    const int j_first = start + threadIdx.x / WARP * 16 * ROWS;  // this warp's first key
    const Rows q_rows = ROWS_OF(q, tq), dy_rows = ROWS_OF(dy, tq);
    const LeftRows<ROWS, KEEP> k_rows(ROWS_OF(k, tk).from(j_first)), v_rows(ROWS_OF(v, tk).from(j_first));
    const real scale = score_scale * LOG2_E;

    Piece dk[ROWS][OUT], dv[ROWS][OUT];
    const int first_seer = causal ? max(0, start - scores.past()) : 0;  // the first query that sees one of these keys
    for (int tile_first = first_seer / TILE * TILE; tile_first < tq; tile_first += TILE) {
        __syncthreads();
        load_tile<true, true>(q_rows.from(tile_first), q_tile, q_turned, column);
        load_tile<true, true>(dy_rows.from(tile_first), dy_tile, dy_turned, column);
        for (int i = threadIdx.x; i < TILE; i += THREADS) {
            const bool there = tile_first + i < tq;  // with lse = inf all weights are 0
            tile_lse[i] = there ? lse[head * tq + tile_first + i] : infinity();
            tile_dot[i] = there ? dot[head * tq + tile_first + i] : real(0);
        }
        __syncthreads();
#pragma unroll 1
        for (int n = 0; n < TILE / 32; n++) {
            const int i_first = tile_first + 32 * n;
            if (causal && j_first > i_first + 31 + scores.past()) continue;  // none of the 32 sees a key of this warp
            // Sᵀ = k qᵀ,  dPᵀ = v dyᵀ: (keys, D) @ (D, queries)
            Piece s[ROWS][1], ds[ROWS][1];
            k_rows.times(s, q_tile + n * 32 * row_words(DEPTH));
            v_rows.times(ds, dy_tile + n * 32 * row_words(DEPTH));
            const bool all_seen = scores.all_seen(i_first, j_first + 16 * ROWS);
            Left p_left[ROWS], ds_left[ROWS];
#pragma unroll
            for (int r = 0; r < ROWS; r++) {
#pragma unroll
                for (int x = 0; x < 16; x++) {
                    const int e = x / 8, across = 8 * lane_t() + x % 8;
                    real &score = s[r][0].at(e, x % 8), &gradient = ds[r][0].at(e, x % 8);
                    const int j = j_first + 16 * r + 8 * e + lane_g();
                    score = weight_and_gradient(scores, all_seen, i_first + across, j, scale, tile_lse[32 * n + across],
                                                tile_dot[32 * n + across], score, gradient);
                }
                p_left[r] = as_left(s[r][0]), ds_left[r] = as_left(ds[r][0]);
            }
            // dv += Pᵀ dy,  dk += dSᵀ q: (keys, queries) @ (queries, D)
            multiply<TILE>(dv, p_left, dy_turned, n);
            multiply<TILE>(dk, ds_left, q_turned, n);
        }
    }
    real one[ROWS][2], scales[ROWS][2];
#pragma unroll
    for (int r = 0; r < ROWS; r++) one[r][0] = one[r][1] = 1, scales[r][0] = scales[r][1] = score_scale;
    const int64 at = (b * tk + j_first) * row + h * d;
    write_rows(dk_all + at, row, scores.tk - j_first, d, column, dk, scales);
    write_rows(dv_all + at, row, scores.tk - j_first, d, column, dv, one);
}

extern "C" __global__ void __launch_bounds__(THREADS, BLOCKS) dq(
    STRIDED(q), STRIDED(k), STRIDED(v), STRIDED(dy), SCORES_PARAMETERS, real score_scale, const real* lse,
    const real* dot, real* dq_all, int64 row, real* dmask) {
    extern __shared__ __align__(16) real shared[];
    Word* const k_tile = (Word*)shared;
    Word* const v_tile = k_tile + STRAIGHT;
    Word* const k_turned = v_tile + STRAIGHT;

    const auto [start, column, head] = this_part(tq, ACROSS, true);
    const int64 b = head / heads, h = head % heads;
    const Scores scores = SCORES_OF(b, h);
    const int i_first = start + threadIdx.x / WARP * 16 * ROWS;  // this warp's first query
    const Rows k_rows = ROWS_OF(k, tk), v_rows = ROWS_OF(v, tk);
    const LeftRows<ROWS, KEEP> q_rows(ROWS_OF(q, tq).from(i_first)), dy_rows(ROWS_OF(dy, tq).from(i_first));
    const real scale = score_scale * LOG2_E;

    real row_lse[ROWS][2], row_dot[ROWS][2];
#pragma unroll
    for (int r = 0; r < ROWS; r++) {
#pragma unroll
        for (int e = 0; e < 2; e++) {
            const int i = i_first + 16 * r + 8 * e + lane_g();
            row_lse[r][e] = i < tq ? lse[head * tq + i] : infinity();
            row_dot[r][e] = i < tq ? dot[head * tq + i] : real(0);
        }
    }
    Piece dq[ROWS][OUT];
    const int keys = causal ? min(scores.tk, start + ACROSS + scores.past()) : scores.tk;
    for (int tile_first = 0; tile_first < keys; tile_first += TILE) {
        __syncthreads();
        load_tile<true, true>(k_rows.from(tile_first), k_tile, k_turned, column);
        load_tile<true, false>(v_rows.from(tile_first), v_tile, nullptr, 0);
        __syncthreads();
#pragma unroll 1
        for (int n = 0; n < TILE / 32; n++) {
            const int j_first = tile_first + 32 * n;
            if (j_first >= tk || (causal && j_first > i_first + 16 * ROWS - 1 + scores.past())) break;
            // S = q kᵀ,  dP = dy vᵀ: (queries, D) @ (D, keys)
            Piece s[ROWS][1], ds[ROWS][1];
            q_rows.times(s, k_tile + n * 32 * row_words(DEPTH));
            dy_rows.times(ds, v_tile + n * 32 * row_words(DEPTH));
            const bool all_seen = scores.all_seen(i_first, j_first + 32);
            Left ds_left[ROWS];
#pragma unroll
            for (int r = 0; r < ROWS; r++) {
#pragma unroll
                for (int x = 0; x < 16; x++) {
                    const int e = x / 8, i = i_first + 16 * r + 8 * e + lane_g(), j = j_first + 8 * lane_t() + x % 8;
                    weight_and_gradient(scores, all_seen, i, j, scale, row_lse[r][e], row_dot[r][e],
                                        s[r][0].at(e, x % 8), ds[r][0].at(e, x % 8));
                    if (ADDED && column == 0 && i < tq && j < tk)
                        dmask[(head * tq + i) * tk + j] = ds[r][0].at(e, x % 8);
                }
                ds_left[r] = as_left(ds[r][0]);
            }
            multiply<TILE>(dq, ds_left, k_turned, n);  // dq += dS k: (queries, keys) @ (keys, D)
        }
    }
    real scales[ROWS][2];
#pragma unroll
    for (int r = 0; r < ROWS; r++) scales[r][0] = scales[r][1] = score_scale;
    write_rows(dq_all + (b * tq + i_first) * row + h * d, row, scores.tq - i_first, d, column, dq, scales);
}
