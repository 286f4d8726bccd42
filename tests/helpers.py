"""What tests of several folders share."""

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np

from tinygrad_gpt import array, precision, random_stream
from tinygrad_gpt.kernels import catalogue, registry


def assert_one_line_error(result, *parts):
    """Of a command's (status, output, error): exit status 2, and one line of error that holds all `parts`."""
    status, _, error = result
    assert status == 2
    assert error.startswith("error: ") and error.count("\n") == 1, error
    for part in parts:
        assert part in error, error


@contextmanager
def process_settings() -> Iterator[None]:
    """After this block, what commands and runs set for the whole process is as before: float32, the random numbers, and
    no pairs of users."""
    state = random_stream.random_state()
    try:
        yield
    finally:
        array.set_default_dtype(np.float32)
        precision.set_matmul_precision("float32")
        random_stream.set_random_state(state)
        for op in catalogue.own_ops():
            registry.undefine(op)
        for op in registry.op_names():
            for version in registry.versions(op):
                if version.name not in ("reference", *registry.LIBRARIES, *registry.ROUNDING):
                    registry.unregister(version)
