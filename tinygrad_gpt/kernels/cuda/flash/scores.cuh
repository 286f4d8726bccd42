// What attention's kernels share: which scores count, what is added to them, which weights are dropped, and which part of
// the result a block makes. To be included after warp_matrix.cuh. ADDED: whether a mask is added (Scores::added).

constexpr real LOG2_E = 1.4426950408889634;

__device__ inline real infinity() { return real(__longlong_as_double(0x7ff0000000000000LL)); }

// Of one head: query i and key j
struct Scores {
    const bool* mask;  // null: none; else this head's (Tq, Tk), by its strides
    int64 mask_i, mask_j;
    const real* added;  // if ADDED: what is added to this head's scores (Tq, Tk), by its strides
    int64 added_i, added_j;
    int tq, tk;
    bool causal;
    uint64 threshold, seed, first_number;  // threshold 0: nothing is dropped
    real keep_scale;

    __device__ int past() const { return tk - tq; }  // query i sees keys up to number i + past

    __device__ bool sees(int i, int j) const {
        if (i >= tq || j >= tk || (causal && j > i + past())) return false;
        return !mask || mask[i * mask_i + j * mask_j];
    }

    // Whether each query from number i on sees all keys before number `end`, and nothing is added to its scores. Queries
    // past Tq - 1, which fill the last tile, may: what comes out for them is written nowhere.
    __device__ bool all_seen(int i, int end) const {
        return !ADDED && !mask && end <= tk && (!causal || end - 1 <= i + past());
    }

    // A score, -inf where it does not count, with what is added to it, in units of which `unit` are 1
    __device__ real masked(real score, int i, int j, real unit) const {
        if (!sees(i, j)) return -infinity();
        return ADDED ? score + unit * added[i * added_i + j * added_j] : score;
    }

    // x as dropout leaves it for weight (i, j)
    __device__ real kept(real x, int i, int j) const {
        const uint64 n = first_number + (uint64)i * tk + j;
        return random_bits(seed, n) >= threshold ? x * keep_scale : 0;
    }
};

// The parameters that make Scores
#define SCORES_PARAMETERS                                                                                              \
    const bool *mask, int64 mask_b, int64 mask_h, int64 mask_i, int64 mask_j, const real *added, int64 added_b,        \
        int64 added_h, int64 added_i, int64 added_j, int64 causal, int64 threshold, real keep_scale,                   \
        const uint64 *seed_place, int64 seed, int64 heads, int64 tq, int64 tk, int64 d

#define SCORES_OF(b, h)                                                                                                \
    {mask ? mask + (b) * mask_b + (h) * mask_h : nullptr, mask_i, mask_j, added + (b) * added_b + (h) * added_h,       \
     added_i, added_j, (int)tq, (int)tk, (bool)causal, (uint64)threshold, seed_of(seed_place, seed),                   \
     (uint64)((b) * heads + (h)) * tq * tk, keep_scale}

// An array (B, H, T, D) as parameters: its first element, and how far apart sequences, heads and rows are
#define STRIDED(x) const real *x, int64 x##_b, int64 x##_h, int64 x##_t

// The `count` rows of head h of sequence b in such an array
#define ROWS_OF(x, count) Rows{x + b * x##_b + h * x##_h, (int)x##_t, (int)(count), (int)d}

constexpr int PARTS = (DEPTH + COLUMNS - 1) / COLUMNS;  // blocks that share a result's columns
constexpr int OUT = COLUMNS / 32;                       // Pieces across the columns of one of them

// The part of the result that a block makes: rows from `start` on, columns from `column` on, of one head
struct Part { int start, column; int64 head; };

// Blocks with `across` of T rows each; the last rows first if `backwards`.
__device__ inline Part this_part(int64 t, int across, bool backwards) {
    const int tiles = (t + across - 1) / across, tile = blockIdx.x % tiles;
    const int column = blockIdx.x / tiles % PARTS * COLUMNS;
    return {(backwards ? tiles - 1 - tile : tile) * across, column, blockIdx.x / tiles / PARTS};
}
