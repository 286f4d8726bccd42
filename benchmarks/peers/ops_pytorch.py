"""PyTorch's side of `ops.py`: the op that does the same.

    python benchmarks/peers/ops_pytorch.py DEVICE     DEVICE: cpu | cuda

Its versions are "pytorch", in float32, and on a GPU "pytorch-tf32" and "pytorch-bfloat16", where all numbers are
bfloat16.
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

import numpy as np
import op_cases
import op_server
import torch
from pytorch import rounding
from torch.nn import functional as F

DEVICE = sys.argv[1]


def rel_shift(x: torch.Tensor, first: int, keys: int) -> torch.Tensor:
    """y[i, j] = x[i, first + j - i], 0 where x has no such column: padded, and its rows cut anew."""
    t, r = x.shape[-2:]
    x = F.pad(x, (t - first, first + keys - r))  # columns first - t ... first + keys - 1
    return x.flatten(-2)[..., t:].unflatten(-1, (t, t + keys - 1))[..., :keys]


def shift_rows(x: torch.Tensor, first: torch.Tensor, keys: int) -> torch.Tensor:
    """y[i, j] = x[i, first[i] + j], for rows that have all these columns."""
    columns = first[..., None] + torch.arange(keys, device=x.device)
    return torch.gather(x, -1, columns.expand(*x.shape[:-1], keys))


OPS = {
    "attention": lambda q, k, v, mask, causal=False: F.scaled_dot_product_attention(q, k, v, mask, is_causal=causal),
    "linear": F.linear,
    "gelu_linear": lambda x, w, b, approximate: F.linear(F.gelu(x, approximate=approximate), w, b),
    "linear_cross_entropy": lambda x, w, targets: F.cross_entropy(F.linear(x, w), targets),
    "matmul": torch.matmul,
    "layer_norm": lambda x, weight, bias: F.layer_norm(x, x.shape[-1:], weight, bias),
    "add_layer_norm": lambda x, residual, weight, bias: (
        (s := x + residual),
        F.layer_norm(s, s.shape[-1:], weight, bias),
    ),
    "gelu": F.gelu,
    "cross_entropy": F.cross_entropy,
    "embedding": F.embedding,
    "dropout": lambda x, p, seed: F.dropout(x, p),
    "softmax": lambda x: torch.softmax(x, -1),
    "log_softmax": lambda x: torch.log_softmax(x, -1),
    "add": torch.add,
    "sub": torch.sub,
    "mul": torch.mul,
    "div": torch.div,
    "maximum": torch.maximum,
    "where": torch.where,
    "neg": torch.neg,
    "pow": torch.pow,
    "exp": torch.exp,
    "log": torch.log,
    "sqrt": torch.sqrt,
    "tanh": torch.tanh,
    "sigmoid": torch.sigmoid,
    "silu": torch.nn.functional.silu,
    "softplus": F.softplus,
    "sin": torch.sin,
    "cos": torch.cos,
    "clamp": torch.clamp,
    "relu": torch.relu,
    "sum": torch.sum,
    "mean": torch.mean,
    "var": lambda x, axis, correction: torch.var(x, axis, correction=correction),
    "max": lambda x, axis: torch.amax(x, axis),
    "prod": torch.prod,
    "logsumexp": torch.logsumexp,
    "cumsum": torch.cumsum,
    "gather": lambda x, index, axis: torch.gather(x, axis, index),
    "rel_shift": rel_shift,
    "shift_rows": shift_rows,
    "einsum": lambda *xs, subscripts: torch.einsum(subscripts, *xs),
    "reshape": torch.reshape,
    "permute": lambda x, axes: x.permute(axes),
    "broadcast_to": lambda x, shape: x.expand(shape),
    "getitem": lambda x, index: x[index],
    "concatenate": lambda *xs, axis: torch.cat(xs, axis),
    "split": lambda x, sizes, axis: torch.split(x, sizes, axis),
}


def prepare(case: op_cases.OpCase, version: str) -> op_server.Call:
    torch.set_float32_matmul_precision("high" if version == "pytorch-tf32" else "highest")
    tensors = brought(case.arrays(), version)
    if case.op in op_cases.OPTIMISER:
        return routine(case.op, *tensors)
    if case.op == "likeliest":
        return search(*tensors, **case.settings)
    wanted = [t.requires_grad_() for t in tensors if t is not None and t.is_floating_point()]

    def forward() -> tuple:
        y = OPS[case.op](*tensors, **case.settings)
        return y if isinstance(y, tuple) else (y,)

    dys = brought(tuple(case.upstream(y) for y in forward()), version)

    def backward(y: tuple) -> list:
        gradients = iter(torch.autograd.grad(y, wanted, dys))
        return [next(gradients) if t is not None and t.requires_grad else None for t in tensors]

    return op_server.Call(forward, backward, results=lambda y: tuple(map(to_numpy, y)))


def brought(arrays: tuple, version: str) -> tuple:
    """The arrays as tensors where this side computes."""
    rounds = version == "pytorch-bfloat16"

    def flat(a):
        x = torch.from_numpy(a).to(DEVICE)
        return x.bfloat16() if rounds and x.is_floating_point() else x

    def view(x, first, shape, apart):
        return x.as_strided(shape, apart, first)

    return op_cases.elsewhere(arrays, flat, view)


def to_numpy(x: torch.Tensor) -> np.ndarray:
    x = x.detach().cpu()
    return (x.float() if x.dtype == torch.bfloat16 else x).numpy()


def routine(name: str, values: torch.Tensor, gradient: torch.Tensor) -> op_server.Call:
    parameter = torch.nn.Parameter(values)
    parameter.grad = gradient
    optimizer = torch.optim.AdamW([parameter], weight_decay=0.1, fused=True)

    def update() -> torch.Tensor:
        optimizer.step()
        return parameter

    def norm() -> torch.Tensor:
        return torch.nn.utils.clip_grad_norm_([parameter], 1e9)

    return op_server.Call(update if name == "adamw" else norm, None, results=lambda made: (to_numpy(made),))


def search(logits: torch.Tensor, k: int) -> op_server.Call:
    def results(made) -> tuple[np.ndarray, np.ndarray]:
        return to_numpy(made.indices).astype(np.float32), to_numpy(made.values)

    return op_server.Call(lambda: logits.log_softmax(-1).topk(k), None, results=results)


def peak_of_new_tensors(function) -> float:
    """Peak MiB of what PyTorch allocates as the function runs, summed from its profiler's record."""
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU], profile_memory=True) as profile:
        result = function()
    del result
    changes = [event for event in profile.profiler.kineto_results.events() if event.name() == "[memory]"]
    now = peak = 0
    for event in sorted(changes, key=lambda event: event.start_ns()):
        now += event.nbytes()  # negative for memory that is freed
        peak = max(peak, now)
    return peak / (1 << 20)


def peak_on_the_gpu(function) -> float:
    """Peak MiB of new tensors as the function runs."""
    torch.cuda.reset_peak_memory_stats()
    before = torch.cuda.memory_allocated()
    result = function()
    del result
    return (torch.cuda.max_memory_allocated() - before) / (1 << 20)


if __name__ == "__main__":
    rounding(DEVICE, "float32")
    if DEVICE == "cpu":
        op_server.serve(prepare, to_numpy, peak_of_new_tensors)
    else:
        op_server.serve(prepare, to_numpy, peak_on_the_gpu, torch.cuda.synchronize)
