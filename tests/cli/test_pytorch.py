"""`tinygrad-gpt pytorch`: what differs under a name, and what takes the place of one that is not here."""

import pytest

from tests.helpers import assert_one_line_error
from tinygrad_gpt import habits


def test_it_tells_all(run):
    status, said, _ = run("pytorch")
    assert status == 0
    assert all(f"\n{name} " in said for name in habits.DIFFERENCES)
    assert "\nTensor.zero_ " in said and "\nnn.KLDivLoss " in said and "\noptim.lr_scheduler.OneCycleLR " in said


@pytest.mark.parametrize(
    "name, told, untold",
    [
        ("view", "it copies", "view_as"),
        ("softmax", "as log_softmax", "log_softmax(dim=)  "),
        ("Linear", "nn.Linear", "nn.init  "),
        ("nn.Softmax", "nn.Softmax(dim=)", "LogSoftmax"),
        ("state_dict", "Optimizer.state_dict", "load_state_dict"),
        ("zero_", "Tensor.zero_", "what differs"),
        ("half", "float16 is not supported", "what differs"),
    ],
)
def test_it_tells_of_one_name(run, name, told, untold):
    status, said, _ = run("pytorch", name)
    assert status == 0 and told in said and untold not in said


def test_a_name_of_which_there_is_nothing_to_tell(run):
    assert_one_line_error(run("pytorch", "relu"), "relu", "the same in both")
