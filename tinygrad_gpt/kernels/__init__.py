"""Fast versions of the ops in `tinygrad_gpt.ops`, and the choice between versions.

    numba/        kernels for the CPU
    cuda/         kernels for an NVIDIA GPU
    registry.py   the versions of each op, and the one place that chooses between them
    catalogue.py  which ops there are, the user's own among them
    contract.py   an op's contract in words, and what in a pair does not keep it
    small.py      which ops leave small arrays to the reference
    recording.py  a training step that a GPU records once and then repeats
    compiling.py  a line of output while kernels are compiled

`numba/NAME.py` holds the pair for `ops/NAME.py` compiled for the CPU, `cuda/NAME.py` the pair for the
GPU: the same `forward` and `backward`, and a `why_not` that says which inputs they leave to the reference. What they
save is a plain tuple, which the first line of `backward` takes apart.
"""
