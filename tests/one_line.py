"""What a command says to its user when something is wrong: one line."""


def assert_one_line(result, *parts):
    """Of a command's (status, output, error): exit status 2, and one line of error that holds all `parts`."""
    status, _, error = result
    assert status == 2
    assert error.startswith("error: ") and error.count("\n") == 1, error
    for part in parts:
        assert part in error, error
