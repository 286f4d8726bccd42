"""A recorded step does what the step does: same numbers, same random numbers, without Python."""

import numpy as np
import pytest

from tests.gpu.on_gpu import to_cpu, to_gpu
from tinygrad_gpt import array, precision, random_stream
from tinygrad_gpt import functional as F
from tinygrad_gpt.kernels import recording
from tinygrad_gpt.models import GPT, GPTConfig
from tinygrad_gpt.optim import AdamW

CONFIG = GPTConfig(vocab_size=11, block_size=6, n_layer=2, n_head=2, n_embd=8, dropout=0.3)


class Counted:
    """A function that counts how often Python runs it."""

    def __init__(self, function):
        self.function, self.calls = function, 0

    def __call__(self, *inputs):
        self.calls += 1
        return self.function(*inputs)


def ids(seed, shape=(3, 6)):
    return np.random.default_rng(seed).integers(11, size=shape)


def here(x):
    """The first calls get NumPy's arrays as they are, so that ids are checked; those that are recorded, the GPU's."""
    return x if array.place(x) == "cuda" else to_gpu(x)


def test_after_the_third_call_python_is_not_asked_again():
    table = to_gpu(np.arange(22, dtype=np.float32).reshape(11, 2))
    lookup = Counted(lambda x: F.embedding(x, table).data * 2)
    recorded = recording.recorded(lookup, "cuda")
    for seed in range(7):
        np.testing.assert_array_equal(to_cpu(recorded(ids(seed))), 2 * to_cpu(table)[ids(seed)])
    assert lookup.calls == 3


def test_it_reads_what_its_arrays_hold_at_the_time():
    table = to_gpu(np.zeros((11, 2), np.float32))
    recorded = recording.recorded(lambda x: F.embedding(x, table).data + 1, "cuda")
    for value in range(6):
        table[...] = value
        assert (to_cpu(recorded(ids(0))) == value + 1).all()


def test_inputs_may_lie_on_the_gpu():
    recorded = recording.recorded(lambda x: here(x) + 1, "cuda")
    for seed in range(5):
        np.testing.assert_array_equal(to_cpu(recorded(to_gpu(ids(seed)))), ids(seed) + 1)


def test_shapes_and_precisions_have_recordings_of_their_own():
    add_one = Counted(lambda x: here(x) + 1)
    recorded = recording.recorded(add_one, "cuda")
    for seed in range(5):
        for shape in ((2,), (3, 4)):
            np.testing.assert_array_equal(to_cpu(recorded(ids(seed, shape))), ids(seed, shape) + 1)
    assert add_one.calls == 6
    with precision.using_matmul_precision("bfloat16"):
        recorded(ids(0, (2,)))
    assert add_one.calls == 7


def test_memory_of_the_recording_is_its_own():
    """What others allocate between two calls does not lie where the recording keeps its intermediate values."""
    recorded = recording.recorded(lambda x: ((here(x) + 1) * 2 + 3) * 4, "cuda")
    for seed in range(6):
        others = [to_gpu(np.full((3, 6), 7)) for _ in range(8)]
        np.testing.assert_array_equal(to_cpu(recorded(ids(seed))), ((ids(seed) + 1) * 2 + 3) * 4)
        assert all((to_cpu(other) == 7).all() for other in others)


def test_results_of_other_shapes_do_not_lie_where_it_writes():
    calculation = lambda x: ((here(x) + 1) * 2 + 3) * 4  # noqa: E731
    recorded = recording.recorded(calculation, "cuda")
    for seed in range(4):
        recorded(ids(seed, (3, 6)))
    kept = [recorded(ids(seed, (6, 3))) for seed in range(2)]  # as large, and not recorded yet
    recorded(ids(4, (3, 6)))
    for seed, y in enumerate(kept):
        np.testing.assert_array_equal(to_cpu(y), calculation(ids(seed, (6, 3))).get())


def test_a_launch_that_is_refused_is_left_to_python():
    """Launching has errors of its own, CUDA's driver's."""
    import cupy

    kernel = cupy.RawKernel('extern "C" __global__ void nothing() {}', "nothing")

    def picky(x):
        if cupy.cuda.get_current_stream().is_capturing():
            kernel((1,), (2048,), ())  # more threads than a block may have
        return here(x) + 1

    recorded = recording.recorded(picky, "cuda")
    for seed in range(5):
        np.testing.assert_array_equal(to_cpu(recorded(ids(seed))), ids(seed) + 1)
    assert "cannot be recorded" in recorded.why_not


def test_what_waits_is_run_by_python_every_time_and_says_why():
    waits = Counted(lambda x: here(x) * int(here(x).max()))
    recorded = recording.recorded(waits, "cuda")
    for seed in range(6):
        np.testing.assert_array_equal(to_cpu(recorded(ids(seed))), ids(seed) * ids(seed).max())
    assert "waits for the GPU" in recorded.why_not
    assert waits.calls == 7  # the attempt to record it, too


def test_what_copies_from_the_cpu_is_run_by_python_every_time_and_says_why():
    """What is copied may be something else each time, which a recording would not know."""
    times = Counted(lambda x: here(x) * to_gpu(np.full(6, times.calls)))
    recorded = recording.recorded(times, "cuda")
    for seed in range(6):
        np.testing.assert_array_equal(to_cpu(recorded(ids(seed))), ids(seed) * times.calls)
    assert "48 bytes were to be copied from the CPU" in recorded.why_not
    assert times.calls == 7
    assert to_gpu(np.ones(3)).sum() == 3  # copies are no longer refused


def test_a_wrong_call_leaves_nothing_half_recorded():
    def picky(x):
        raise ValueError("not this")

    recorded = recording.recorded(picky, "cuda")
    for _ in range(4):
        with pytest.raises(ValueError, match="not this"):
            recorded(ids(0))
    assert float(to_cpu(to_gpu(np.ones(1)) + 1)[0]) == 2  # the stream is not recording any more


def test_random_numbers_are_those_that_python_would_have_drawn():
    ones = to_gpu(np.ones((5, 7), np.float32))

    def dropped(x):
        return F.dropout(ones, 0.5).data, F.dropout(ones, 0.5).data

    random_stream.manual_seed(3)
    recorded = recording.recorded(dropped, "cuda")
    got = [[to_cpu(part).copy() for part in recorded(ids(0))] for _ in range(6)]
    after = random_stream.random_state()
    random_stream.manual_seed(3)
    for masks in got:
        for mask, right in zip(masks, dropped(None), strict=True):
            np.testing.assert_array_equal(mask, to_cpu(right))
    assert random_stream.random_state() == after
    assert not np.array_equal(got[4][0], got[5][0])


def updates(recorded: bool, recompute: bool, parts: int = 1) -> tuple[list, dict]:
    """Losses of six updates of a small GPT with dropout, and its weights after them."""
    random_stream.manual_seed(1)
    model = GPT(CONFIG).to("cuda").train()
    model.recompute = recompute
    optimizer = AdamW(model.named_parameters(), lr=1e-2)
    parameters = optimizer.parameters()

    def gradients(*batches):
        optimizer.zero_grad()
        losses = []
        for x, y in zip(batches[::2], batches[1::2], strict=True):
            loss = model.loss(x, y)
            loss.backward(np.full_like(loss.data, 1 / parts))
            losses.append(loss.data)
        return losses, [p.grad for p in parameters]

    run = Counted(gradients)
    step = recording.recorded(run, "cuda") if recorded else run
    values = []
    for n in range(6):
        losses, grads = step(*(ids(10 * n + i) for i in range(2 * parts)))
        for p, grad in zip(parameters, grads, strict=True):
            p.grad = grad
        optimizer.step(0.5)
        values.append([float(loss) for loss in losses])
    assert run.calls == (3 if recorded else 6)
    return values, {name: array.copy() for name, array in model.state_dict().items()}


@pytest.mark.parametrize("recompute", [False, True], ids=["kept", "recomputed"])
@pytest.mark.parametrize("parts", [1, 2])
def test_training_is_the_same_bit_for_bit(recompute, parts):
    losses, weights = updates(True, recompute, parts)
    right_losses, right_weights = updates(False, recompute, parts)
    assert losses == right_losses
    for name, right in right_weights.items():
        np.testing.assert_array_equal(weights[name], right, err_msg=name)
