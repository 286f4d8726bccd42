"""Two texts in the room of one: how much of each is kept."""


def kept(first: int, second: int, room: int) -> tuple[int, int]:
    """How many tokens two texts of these lengths keep, at most `room` together.

    The longer one is cut, down to the length of the shorter one; then both are. If they get equal parts of an odd room,
    the first one has the token that is left over.
    """
    of_second = min(second, max(room // 2, room - first))
    return min(first, room - of_second), of_second
