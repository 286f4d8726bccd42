"""What the functions call an axis."""

import functools

_PYTORCHS = {"dim": "axis", "keepdim": "keepdims"}


def says_axis(function):
    """Decorate a function so that PyTorch's dim= and keepdim= raise an error that says axis= and keepdims=."""

    @functools.wraps(function)
    def called(*args, **settings):
        for name in settings:
            if name in _PYTORCHS:
                raise TypeError(f"{function.__name__}: expected {_PYTORCHS[name]}=, got {name}=, as PyTorch calls it")
            if name in ("dtype", "out"):  # from np.sum(x), say
                raise TypeError(f"{function.__name__}: has no {name}=; np.{function.__name__} takes x.numpy()")
        return function(*args, **settings)

    return called
