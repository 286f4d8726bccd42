"""Compiled kernels are kept on disk, found again by the next process, and not after their sources have changed."""

import os
import pathlib
import subprocess
import sys

import numpy as np
import pytest

from tinygrad_gpt.kernels.numba import _compile

USE_KERNELS = """
import numpy as np
from tinygrad_gpt.kernels.numba import adamw, gelu, linear
x = np.ones((3, 4), np.float32)
y, saved = gelu.forward(x)
if linear.why_not(x, x) is None:
    linear.forward(x, x)
kernels = [gelu._forward] + ([linear._product_in_tiles] if linear.why_not(x, x) is None else [])
hits = sum(sum(k.dispatcher.stats.cache_hits.values()) for k in kernels)
misses = sum(sum(k.dispatcher.stats.cache_misses.values()) for k in kernels)
print(hits, misses, len(kernels))
"""


def in_new_process(folder, code=USE_KERNELS):
    environment = os.environ | {"NUMBA_CACHE_DIR": str(folder)}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    return [int(n) for n in done.stdout.split()]


def test_second_process_compiles_nothing(tmp_path):
    hits, misses, kernels = in_new_process(tmp_path)
    assert (hits, misses) == (0, kernels)
    assert in_new_process(tmp_path) == [kernels, 0, kernels]
    other_sources = USE_KERNELS.replace(
        "import numpy as np",
        "import numpy as np\nfrom tinygrad_gpt.kernels.numba import _compile\n_compile._content_of_this_folder = str",
        1,
    )
    assert in_new_process(tmp_path, other_sources) == [0, kernels, kernels]


def test_stamp_changes_with_any_file(tmp_path, monkeypatch):
    for file in pathlib.Path(_compile.__file__).parent.glob("*.py"):
        (tmp_path / file.name).write_bytes(file.read_bytes())
    before = _compile._content_of_this_folder.__wrapped__()
    monkeypatch.setattr(_compile, "__file__", str(tmp_path / "_compile.py"))
    assert _compile._content_of_this_folder.__wrapped__() == before
    with open(tmp_path / "_vector_math.py", "a", encoding="utf-8") as file:
        file.write("# changed\n")
    assert _compile._content_of_this_folder.__wrapped__() != before


def test_one_compilation_serves_every_layout():
    from tinygrad_gpt.kernels.numba import attention

    x = np.ones((2, 3, 5, 4), np.float32)
    locked = x.copy()
    locked.flags.writeable = False
    for q in (x, locked, x.swapaxes(1, 2).copy().swapaxes(1, 2), x[:1, :1, :1]):
        attention.forward(q, q, q)
    float32_versions = [s for s in attention._forward.dispatcher.signatures if "float32" in str(s[0])]
    assert len(float32_versions) == 1


def test_kernels_refuse_what_they_do_not_state():
    from tinygrad_gpt.kernels.numba import gelu

    x = np.ones((4, 4), np.float32)
    with pytest.raises(TypeError):
        gelu._forward(x[:, 0], 1.0, 1.0, np.empty(4, np.float32))
