// What kernels share that do the same to every parameter of a model (many.py fills in the table).
//
// A launch for each array would cost more than the work on a small one. So one launch does MOST arrays, of each of LISTS
// lists; a block has PIECE elements of one of them. The table is an argument of the kernel, which travels with the launch:
// there is nothing to copy to the GPU first, and nothing that a recorded step could find changed.

#include "machine/rows.cuh"

constexpr int WIDE = 16 / sizeof(real);  // elements of 16 bytes

struct Table {
    real* first[MOST][LISTS];  // the first element of each array
    int64 size[MOST];
    int64 first_block[MOST];  // which of the blocks is the first for it
    double number[MOST];      // one for each, for the kernel to use
    int64 count;              // how many arrays there are
};

// Which array this block's piece belongs to, and the piece: elements first .. last - 1.
struct Piece { int array; int64 first, last; };

__device__ inline Piece this_piece(const Table& table) {
    int a = 0;
    while (a + 1 < table.count && blockIdx.x >= table.first_block[a + 1]) a++;
    const int64 first = (blockIdx.x - table.first_block[a]) * PIECE, last = first + PIECE;
    return {a, first, last < table.size[a] ? last : table.size[a]};
}

// Whether packs of WIDE elements may be loaded from an array.
__device__ inline bool is_aligned(const real* x) { return (uint64)x % 16 == 0; }
