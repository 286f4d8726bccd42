// Products of matrices by warps, in the precision that WAY names. What attention is made of.
//
//     FMA_UNITS   real, exactly; float64, and float32 on GPUs without TF32
//     SPLIT_TF32  float32 as the sum of two TF32 numbers each: three products, near float32's precision
//     TF32        operands rounded to TF32 (10 bits of mantissa)
//     BF16        operands rounded to bfloat16 (7 bits)
//
// Sums are in real, float32 or float64, in all of them.
//
// DEPTH, a multiple of 32, is how many numbers a row has here: those of a matrix in memory, filled up with zeros.
//
// A Piece is 16 rows x 32 columns of a matrix in the registers of a warp. Lane 4g + t holds rows g and g + 8, and of
// each the eight columns from 8t on:
//
//              columns 0-7     8-15      16-23     24-31
//     row 0    lane 0      lane 1    lane 2    lane 3
//     row 1    lane 4      lane 5    lane 6    lane 7
//     ...
//     row 8    lane 0      lane 1    lane 2    lane 3
//
// The instruction's own arrangement (tensor_core.cuh) is another, with two adjacent columns for each lane. But which
// column of a matrix is called number 2t of which instruction is ours to say, and so is the order of the places along
// K, as long as both operands keep it. Four instructions, h = 0..3, make the 32 columns of a Piece: columns 2t and
// 2t + 1 of number h are the Piece's 8t + 2h and 8t + 2h + 1. And lane t brings its eight numbers for K = 32 two
// words at a time. So a Piece that came out of a product (weights P) is the left operand of the next (P v) as it stands,
// what a lane reads lies together, 16 bytes an instruction, and all four ways have the same arrangement.
//
// The right operand comes from a tile in shared memory that holds, for each column of the result, what it is multiplied
// with as a row: c (16, 32 N) += a (16, 32) tile[0 : 32 N, some 32 columns]ᵀ.

#define FMA_UNITS 0
#define SPLIT_TF32 1
#define TF32 2
#define BF16 3

#if WAY == BF16
using Word = unsigned;  // two numbers
constexpr int PER_WORD = 2;
#else
using Word = real;
constexpr int PER_WORD = 1;
#endif

constexpr int WORDS = 8 / PER_WORD;         // that hold 8 numbers
constexpr int CHUNK = 16 / sizeof(Word);    // words in 16 bytes, the most that a thread reads at once
constexpr int SLABS = DEPTH / 32;

struct Piece {
    real x[4][4] = {};  // x[h][2 e + c]: row g + 8 e, column 8 t + 2 h + c
    __device__ real& at(int e, int n) { return x[n / 2][2 * e + n % 2]; }  // row g + 8 e, column 8 t + n
};
struct Left { Word x[2][WORDS]; };     // a Piece as a left operand: rows g and g + 8
struct alignas(16) Chunk { Word x[CHUNK]; };
struct alignas(16) Four { real x[4]; };

__device__ inline int lane_g() { return threadIdx.x % WARP / 4; }
__device__ inline int lane_t() { return threadIdx.x % 4; }

// --- one instruction's worth -----------------------------------------------------------------------------------------

// PER_WORD numbers from x on, rounded
__device__ inline Word word(const real* x) {
#if WAY == BF16
    return bf16_pair(x[0], x[1]);
#elif WAY == TF32
    return tf32(x[0]);
#else
    return x[0];
#endif
}

// d (16, 8) += a b
__device__ inline void multiply_words(real (&d)[4], const Word (&a)[4], const Word (&b)[2]) {
#if WAY == BF16
    mma_bf16(d, a, b);
#elif WAY == TF32 || WAY == SPLIT_TF32
    // a b = (a_high + a_low) (b_high + b_low), less a_low b_low, which is 2^-22 of it. Words of TF32 are high already.
    constexpr bool SPLIT = WAY == SPLIT_TF32;
    unsigned a_high[4], b_high[2];
    for (int i = 0; i < 4; i++) a_high[i] = __float_as_uint(SPLIT ? tf32(a[i]) : a[i]);
    for (int i = 0; i < 2; i++) b_high[i] = __float_as_uint(SPLIT ? tf32(b[i]) : b[i]);
    if (SPLIT) {
        unsigned a_low[4], b_low[2];
        for (int i = 0; i < 4; i++) a_low[i] = __float_as_uint(tf32(a[i] - __uint_as_float(a_high[i])));
        for (int i = 0; i < 2; i++) b_low[i] = __float_as_uint(tf32(b[i] - __uint_as_float(b_high[i])));
        mma_tf32(d, a_low, b_high);  // small ones are added first
        mma_tf32(d, a_high, b_low);
    }
    mma_tf32(d, a_high, b_high);
#else
    // What the instruction does, by hand: lane 4g + t has d's rows g and g + 8, columns 2t and 2t + 1, and asks the
    // lanes that have them for a's and b's numbers at each of the 8 places.
    const int g = lane_g(), t = lane_t();
#pragma unroll 1
    for (int place = 0; place < 4; place++) {  // unrolled, the code would grow out of all bounds
#pragma unroll
        for (int later = 0; later < 2; later++) {
            const real a_0 = __shfl_sync(0xffffffff, a[2 * later], 4 * g + place);
            const real a_8 = __shfl_sync(0xffffffff, a[2 * later + 1], 4 * g + place);
            const real b_0 = __shfl_sync(0xffffffff, b[later], 4 * (2 * t) + place);
            const real b_1 = __shfl_sync(0xffffffff, b[later], 4 * (2 * t + 1) + place);
            d[0] += a_0 * b_0, d[1] += a_0 * b_1;
            d[2] += a_8 * b_0, d[3] += a_8 * b_1;
        }
    }
#endif
}

// --- tiles in shared memory ------------------------------------------------------------------------------------------
//
// A tile is rows of words, a multiple of 128 bytes each: all 32 banks. So that the lanes of a warp don't meet in a bank,
// the 16-byte chunks of a row change places: chunk i lies at place i ^ swizzle(row). Eight lanes read 16 bytes each at
// a time: four of one row (4t.. or 2 t.., by the size of a word), four of the next; the lowest bit of `row` sends these
// to the other half of the banks. Writing, eight lanes have rows 4 apart: bits 2 and 3 of `row` send them apart.

// words from one row of a tile to the next, for rows of this many numbers
__host__ __device__ constexpr int row_words(int numbers) {
    return (numbers / PER_WORD + 8 * CHUNK - 1) / (8 * CHUNK) * (8 * CHUNK);
}

__device__ inline int swizzle(int row) {
    return ((row >> 2 & 1) * 4 + (row >> 3 & 1) * 2) ^ (row & 1) * (PER_WORD == 2 ? 4 : 1);
}

template <int NUMBERS> __device__ inline Word* place_in(Word* tile, int row, int word) {
    return tile + row * row_words(NUMBERS) + (word ^ swizzle(row) * CHUNK);
}

// c (16 R, 32 N) += a (16 R, 32) tile[0 : 32 N, 32 slab : 32 slab + 32]ᵀ, where the tile's rows have NUMBERS numbers
template <int NUMBERS, int R, int N>
__device__ inline void multiply(Piece (&c)[R][N], const Left (&a)[R], const Word* tile, int slab) {
    const int g = lane_g(), t = lane_t();
#pragma unroll
    for (int n = 0; n < N; n++) {
#pragma unroll
        for (int h = 0; h < 4; h++) {
            Word right[WORDS];
#pragma unroll
            for (int i = 0; i < WORDS; i += CHUNK) {
                const int row = 32 * n + 8 * (g / 2) + 2 * h + g % 2;
                const Word* from = place_in<NUMBERS>((Word*)tile, row, (4 * slab + t) * WORDS + i);
                const Chunk chunk = *(const Chunk*)from;
#pragma unroll
                for (int j = 0; j < CHUNK; j++) right[i + j] = chunk.x[j];
            }
#pragma unroll
            for (int i = 0; i < WORDS; i += 2) {
                const Word b[2] = {right[i], right[i + 1]};
#pragma unroll
                for (int r = 0; r < R; r++) {
                    const Left& l = a[r];
                    const Word words[4] = {l.x[0][i], l.x[1][i], l.x[0][i + 1], l.x[1][i + 1]};
                    multiply_words(c[r][n].x[h], words, b);
                }
            }
        }
    }
}

// A Piece as the left operand of the next product.
__device__ inline Left as_left(const Piece& p) {
    Left left;
#pragma unroll
    for (int e = 0; e < 2; e++) {
#pragma unroll
        for (int i = 0; i < WORDS; i++) left.x[e][i] = word(&p.x[i * PER_WORD / 2][2 * e + i * PER_WORD % 2]);
    }
    return left;
}

// --- from global memory ----------------------------------------------------------------------------------------------

// x = from[0 : 4], zeros from number `there` on. VECTOR: rows begin at multiples of 16 bytes and end at such.
__device__ inline void read_4(real* x, const real* from, int there) {
#if VECTOR
    Four four = {};
    if (there > 0) four = *(const Four*)from;
#pragma unroll
    for (int j = 0; j < 4; j++) x[j] = four.x[j];
#else
    for (int j = 0; j < 4; j++) x[j] = j < there ? from[j] : real(0);
#endif
}

__device__ inline void write_4(real* to, const real* x, int there) {
#if VECTOR
    if (there > 0) *(Four*)to = {x[0], x[1], x[2], x[3]};
#else
    for (int j = 0; j < 4; j++) {
        if (j < there) to[j] = x[j];
    }
#endif
}

// Rows of `width` numbers in global memory, `stride` apart, of which `count` are there. (Within a tile ints are enough.)
struct Rows {
    const real* first;
    int stride, count, width;

    __device__ Rows from(int row) const { return {first + (int64)row * stride, stride, count - row, width}; }

    // x = four numbers of a row from a column on, zeros where there are none
    __device__ void read(real* x, int row, int column) const {
        read_4(x, first + row * stride + column, row < count ? width - column : 0);
    }
};

// Four numbers to the tile's row `row`, from number `column` on
template <int NUMBERS> __device__ inline void put_4(Word* tile, int row, int column, const real* x) {
    constexpr int ALL = 4 / PER_WORD, AT_ONCE = ALL < CHUNK ? ALL : CHUNK;
    struct alignas(AT_ONCE * sizeof(Word)) Some { Word x[AT_ONCE]; };
#pragma unroll
    for (int i = 0; i < ALL; i += AT_ONCE) {
        Some some;
#pragma unroll
        for (int j = 0; j < AT_ONCE; j++) some.x[j] = word(x + (i + j) * PER_WORD);
        *(Some*)place_in<NUMBERS>(tile, row, column / PER_WORD + i) = some;
    }
}

// How many times four rows a thread has on their way at once: as registers allow
constexpr int UNROLLED = DEPTH > 64 || sizeof(real) == 8 || WAY == SPLIT_TF32 ? 1 : 2;

// A block of THREADS threads brings TILE rows into shared memory, rounded:
//     straight  (TILE, DEPTH)    as they are: what rows on the left are multiplied with
//     turned    (COLUMNS, TILE)  the columns from `column` on as rows: what weights on the left are multiplied with
// A thread has four rows of four numbers each. Four neighbouring lanes read 64 bytes of a row.
template <bool STRAIGHT, bool TURNED> __device__ inline void load_tile(Rows rows, Word* straight, Word* turned,
                                                                         int column) {
    constexpr int DOWN = TILE / 4, UNITS = DOWN * (DEPTH / 4);
#pragma unroll UNROLLED
    for (int unit = threadIdx.x; unit < UNITS; unit += THREADS) {
        const int r = unit / 4 % DOWN * 4, c = (unit / 4 / DOWN * 4 + unit % 4) * 4;
        real x[4][4];
#pragma unroll
        for (int j = 0; j < 4; j++) rows.read(x[j], r + j, c);
        if (STRAIGHT) {
#pragma unroll
            for (int j = 0; j < 4; j++) put_4<DEPTH>(straight, r + j, c, x[j]);
        }
        if (TURNED && (COLUMNS >= DEPTH || (c >= column && c < column + COLUMNS))) {
#pragma unroll
            for (int j = 0; j < 4; j++) {
                const real down[4] = {x[0][j], x[1][j], x[2][j], x[3][j]};
                put_4<TILE>(turned, c - column + j, r, down);
            }
        }
    }
}

// 16 R rows as left operands, one for each slab of 32 columns: kept in registers, or read again where those are scarce.
template <int R, bool KEPT> struct LeftRows {
    Rows rows;
    Left kept[KEPT ? SLABS : 1][R];

    __device__ explicit LeftRows(Rows rows) : rows(rows) {
        if constexpr (KEPT) {
#pragma unroll
            for (int slab = 0; slab < SLABS; slab++) read(kept[slab], slab);
        }
    }

    __device__ void read(Left (&to)[R], int slab) const {
#pragma unroll
        for (int r = 0; r < R; r++) {
#pragma unroll
            for (int e = 0; e < 2; e++) {
                const int row = 16 * r + lane_g() + 8 * e, c = 32 * slab + 8 * lane_t();
                real x[8];
                rows.read(x, row, c);
                rows.read(x + 4, row, c + 4);
#pragma unroll
                for (int i = 0; i < WORDS; i++) to[r].x[e][i] = word(x + i * PER_WORD);
            }
        }
    }

    // c (16 R, 32 N) += these rows times the tile's rows
    template <int N> __device__ void times(Piece (&c)[R][N], const Word* tile) const {
        if constexpr (KEPT) {
#pragma unroll
            for (int slab = 0; slab < SLABS; slab++) multiply<DEPTH>(c, kept[slab], tile, slab);
        } else {
#pragma unroll 1
            for (int slab = 0; slab < SLABS; slab++) {
                Left left[R];
                read(left, slab);
                multiply<DEPTH>(c, left, tile, slab);
            }
        }
    }
};

// to[0 : 16 R, column : column + 32 N] = pieces * factor[row]; rows are `stride` apart, `count` of them with `width`
// numbers are there.
template <int R, int N>
__device__ inline void write_rows(real* to, int64 stride, int count, int width, int column,
                                  const Piece (&pieces)[R][N], const real (&factor)[R][2]) {
#pragma unroll
    for (int r = 0; r < R; r++) {
#pragma unroll
        for (int e = 0; e < 2; e++) {
            const int row = 16 * r + lane_g() + 8 * e;
            if (row >= count) continue;
#pragma unroll
            for (int n = 0; n < N; n++) {
                const int c = column + 32 * n + 8 * lane_t();
                real x[8];
#pragma unroll
                for (int j = 0; j < 8; j++) x[j] = pieces[r][n].x[j / 2][2 * e + j % 2] * factor[r][e];
                write_4(to + row * stride + c, x, width - c);
                write_4(to + row * stride + c + 4, x + 4, width - c - 4);
            }
        }
    }
}
