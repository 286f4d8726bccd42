"""Fast versions of the ops in `tinygrad_gpt.ops`, and the registry that chooses between versions.

`kernels/numba/NAME.py` holds the pair for `ops/NAME.py` compiled for the CPU, `kernels/cuda/NAME.py` the pair for the
GPU: the same `forward` and `backward`, and a `why_not` that says which inputs they leave to the reference.
"""
