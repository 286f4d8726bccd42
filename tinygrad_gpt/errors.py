"""The one exception that speaks to the person at the keyboard."""


class UserError(Exception):
    """Something the user can put right: a missing file, an unknown name, a damaged checkpoint.

    The message is one line that says what was expected, what came, and what to do. The command prints it without a
    traceback and exits with status 2. Programming mistakes (wrong shape, wrong dtype) stay ValueError, TypeError or
    IndexError, raised by the op that met them.
    """
