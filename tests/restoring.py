"""What commands and runs set for the whole process, set back for the next test."""

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np

from tinygrad_gpt import array, precision, random_stream
from tinygrad_gpt.kernels import registry


@contextmanager
def process_settings() -> Iterator[None]:
    """After this block: float32, the random numbers as before it, and no pairs of users."""
    state = random_stream.random_state()
    try:
        yield
    finally:
        array.set_default_dtype(np.float32)
        precision.set_matmul_precision("float32")
        random_stream.set_random_state(state)
        for op in registry.op_names():
            for version in registry.versions(op):
                if version.name not in ("reference", *registry.LIBRARIES, *registry.ROUNDING):
                    registry.unregister(version)
