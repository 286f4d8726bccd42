// Looking up rows of a table (V, C) by R ids, and adding rows to a table's gradient (ops/embedding.py).

#include "machine/rows.cuh"

__device__ inline bool is_row(int64 id, int64 v) { return id >= 0 && id < v; }

// y[i] = weight[ids[i]]; a row of nan for an id that the table does not have.
extern "C" __global__ void forward(const int64* ids, const real* weight, real* y, int64 v, int64 r, int64 channels) {
    const int64 i = row_number();
    if (i >= r) return;
    const int c = channels;
    const int64 id = ids[i];
    const bool known = is_row(id, v);
    each_pack(weight + (known ? id * c : 0), c, [&](int j, Pack row) {
        if (!known)
            for (real& number : row.at) number = sqrt(real(-1));
        store(y + i * c + j, row);
    });
}

// Sorts by counting: position i comes after as many positions as have a smaller id, or the same and come before it.
// A warp counts for COUNTED (embedding.py) positions at once, its lanes sharing out the ids that they are compared with.
extern "C" __global__ void sort(const int64* ids, int64* sorted_ids, int64* positions, int64 r) {
    const int64 first = row_number() * COUNTED;
    if (first >= r) return;
    int64 own[COUNTED];
    int before[COUNTED] = {};
#pragma unroll
    for (int k = 0; k < COUNTED; k++) own[k] = ids[first + k < r ? first + k : first];
#pragma unroll 4
    for (int64 i = threadIdx.x; i < r; i += WARP) {
        const int64 id = ids[i];
#pragma unroll
        for (int k = 0; k < COUNTED; k++) before[k] += id < own[k] || (id == own[k] && i < first + k);
    }
#pragma unroll
    for (int k = 0; k < COUNTED; k++) {
        const int place = warp_sum(before[k]);
        if (threadIdx.x == 0 && first + k < r) {
            sorted_ids[place] = own[k];
            positions[place] = first + k;
        }
    }
}

// dweight[id] += the sum of dy over the positions of id. A block looks after one place in the sorted ids, and a strip of
// 32 packs of channels; only if an id begins there it has something to do. Its `blockDim.y` warps share out the id's
// positions, each asking for AHEAD rows at once, and their sums are added in order.
constexpr int AHEAD = 8;

extern "C" __global__ void add_rows(const int64* sorted_ids, const int64* positions, const real* dy, real* dweight,
                                    int64 v, int64 r, int64 channels) {
    __shared__ Pack of_warp[MOST_WARPS][WARP];
    const int64 place = blockIdx.x, id = sorted_ids[place];
    if (!is_row(id, v) || (place > 0 && sorted_ids[place - 1] == id)) return;  // the whole block
    const int c = channels, j = (blockIdx.y * WARP + threadIdx.x) * PACK, warps = blockDim.y;
    Pack total = {};
    for (int64 i = place + threadIdx.y; i < r && sorted_ids[i] == id; i += AHEAD * warps) {
        Pack rows[AHEAD] = {};
#pragma unroll
        for (int k = 0; k < AHEAD; k++) {
            const int64 i_k = i + k * warps;
            if (j < c && i_k < r && sorted_ids[i_k] == id) rows[k] = load(dy + positions[i_k] * c + j);
        }
#pragma unroll
        for (int k = 0; k < AHEAD; k++)
            for (int e = 0; e < PACK; e++) total.at[e] += rows[k].at[e];
    }
    of_warp[threadIdx.y][threadIdx.x] = total;
    __syncthreads();
    if (threadIdx.y > 0 || j >= c) return;
    for (int warp = 1; warp < warps; warp++)
        for (int e = 0; e < PACK; e++) total.at[e] += of_warp[warp][threadIdx.x].at[e];
    Pack sum = load(dweight + id * c + j);
    for (int e = 0; e < PACK; e++) sum.at[e] += total.at[e];
    store(dweight + id * c + j, sum);
}
