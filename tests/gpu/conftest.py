"""Every test in this folder is marked `gpu`, and skipped where there is no GPU, real or emulated (see on_gpu.py)."""

from pathlib import Path

import pytest

from tests.gpu.on_gpu import WHY_NOT

LAST = ("test_sources.py", "test_real_cupy.py")  # which look at what the others did


@pytest.hookimpl(tryfirst=True)  # before pytest chooses by marks
def pytest_collection_modifyitems(items):
    items.sort(key=lambda item: item.path.name in LAST)  # which leaves all others as they are
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.gpu)
            if WHY_NOT:
                item.add_marker(pytest.mark.skip(reason=WHY_NOT))
