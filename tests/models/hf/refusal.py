"""How a test reads what a user is told."""

import pytest

from tinygrad_gpt.errors import UserError


def refusal(load, *arguments, **settings) -> str:
    with pytest.raises(UserError) as error:
        load(*arguments, **settings)
    message = str(error.value)
    assert "\n" not in message
    return message
