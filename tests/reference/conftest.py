"""Where tests compare with PyTorch and transformers, these keep quiet."""

import importlib.util

import pytest


@pytest.fixture(autouse=True, scope="module")
def quiet_references():
    """One thread for PyTorch, whose idle threads spin and would take the cores from ours; no bars of transformers."""
    if importlib.util.find_spec("torch") is None:
        yield
        return
    import torch

    if importlib.util.find_spec("transformers") is not None:
        import transformers

        transformers.logging.set_verbosity_error()
        transformers.logging.disable_progress_bar()
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)
