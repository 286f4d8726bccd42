// The AdamW update of many parameters (ops/adamw.py has the equations); `number` is each one's weight decay.

#include "machine/many.cuh"

struct Settings { real grad_scale, lr, rate, root_scale, beta1, rest1, beta2, rest2, eps; };

// N elements: m, v and then the parameter.
template <int N>
__device__ inline void update(real* param, const real* grad, real* m, real* v, real kept, const Settings& with) {
    using Some = Packed<N>;
    Some p_n = *(Some*)param, g_n = *(const Some*)grad, m_n = *(Some*)m, v_n = *(Some*)v;
    for (int k = 0; k < N; k++) {
        const real g = with.grad_scale * g_n.at[k];
        m_n.at[k] = with.beta1 * m_n.at[k] + with.rest1 * g;
        v_n.at[k] = with.beta2 * v_n.at[k] + with.rest2 * g * g;
        p_n.at[k] = kept * p_n.at[k] - with.rate * m_n.at[k] / (sqrt(v_n.at[k]) * with.root_scale + with.eps);
    }
    *(Some*)m = m_n;
    *(Some*)v = v_n;
    *(Some*)param = p_n;
}

extern "C" __global__ void run(const Table table, real grad_scale, real lr, real rate, real root_scale, real beta1,
                               real rest1, real beta2, real rest2, real eps) {
    const Piece piece = this_piece(table);
    real* const* first = table.first[piece.array];
    real *param = first[0], *grad = first[1], *m = first[2], *v = first[3];
    const real kept = 1 - lr * table.number[piece.array];
    const Settings with = {grad_scale, lr, rate, root_scale, beta1, rest1, beta2, rest2, eps};
    int64 wide_end = piece.first;  // up to where packs may be used
    if (is_aligned(param) && is_aligned(grad) && is_aligned(m) && is_aligned(v))
        wide_end += (piece.last - piece.first) / WIDE * WIDE;
    for (int64 i = piece.first + threadIdx.x * WIDE; i < wide_end; i += blockDim.x * WIDE)
        update<WIDE>(param + i, grad + i, m + i, v + i, kept, with);
    for (int64 i = wide_end + threadIdx.x; i < piece.last; i += blockDim.x)
        update<1>(param + i, grad + i, m + i, v + i, kept, with);
}
