"""PyTorch's names for what has another name in this package: an AttributeError says what to write instead."""

TENSOR = {
    "bmm": "x @ y",
    "clamp": "functional.maximum, and for the other side -functional.maximum(-x, -limit)",
    "copy": "tensor(x), a copy without a graph",
    "gather": "x[rows, ids]",
    "half": "float32 or float64: float16 is not supported",
    "is_cuda": "x.device",
    "mm": "x @ y",
    "norm": "(x * x).sum().sqrt()",
    "rsqrt": "1 / x.sqrt()",
    "std": "x.var(correction=1).sqrt()",
    "zero_": "x.data[...] = 0; for a gradient x.grad = None",
}

_watch = "with model.watching(path) as seen"

MODULE = {
    "bfloat16": 'model.to(np.float32) with set_matmul_precision("bfloat16")',
    "get_buffer": "dict(model.named_buffers())[name]",
    "half": 'model.to(np.float32) with set_matmul_precision("bfloat16")',
    "register_backward_hook": _watch,
    "register_forward_hook": _watch,
    "register_forward_pre_hook": _watch,
    "register_full_backward_hook": _watch,
}

OPTIMIZER = {
    "state": "optimizer.slots",
}

SCHEDULERS = {
    "ChainedScheduler": "LambdaLR with the product of the factors",
    "CyclicLR": "LambdaLR with a function of the step",
    "MultiplicativeLR": "LambdaLR with the product so far",
    "OneCycleLR": "SequentialLR of a LinearLR and a CosineAnnealingLR, or optim.warmup_cosine",
    "PolynomialLR": "LambdaLR with (1 - t / total) ** power",
    "ReduceLROnPlateau": 'group["lr"] *= factor for each group of optimizer.param_groups, where the loss stalls',
}

LAYERS = {
    "KLDivLoss": "functional.kl_div",
    "MultiheadAttention": "nn.MultiHeadAttention, or functional.attention",
    "ParameterDict": "a dictionary of Parameters as an attribute of a Module",
    "ParameterList": "a list of Parameters as an attribute of a Module",
    "TransformerEncoderLayer": "nn.Block",
}

FUNCTIONS = {
    "clamp": "functional.maximum",
    "mse_loss": "((x - y) ** 2).mean()",
    "one_hot": "np.eye(n)[ids], or functional.embedding in place of the product",
    "scaled_dot_product_attention": "functional.attention",
}

PACKAGE = {
    **FUNCTIONS,
    "cuda": 'device("auto"), the GPU if one can be used, else the CPU',
    "empty": "zeros(size)",
    "empty_like": "zeros_like(x)",
    "float16": "float32 or float64: float16 is not supported",
    "Generator": "manual_seed: one stream of random numbers",
    "bfloat16": 'set_matmul_precision("bfloat16")',
}


class Habit:
    """An attribute that raises an AttributeError with advice. (A __getattr__ would do the same, but make every other
    attribute slower.)"""

    def __init__(self, name: str, advice: str):
        self.name, self.advice = name, advice

    def __get__(self, instance, owner):
        raise missing(owner.__name__, self.name, {self.name: self.advice})


def tells(habits: dict[str, str]):
    """A decorator of classes: these attributes of their instances then say what to write instead."""

    def decorate(cls):
        for name, advice in habits.items():
            setattr(cls, name, Habit(name, advice))
        return cls

    return decorate


def missing(owner: str, name: str, habits: dict[str, str]) -> AttributeError:
    """The error for an attribute that `owner` does not have, with advice if it is one of `habits`."""
    advice = f"; instead, use {habits[name]}" if name in habits else ""
    return AttributeError(f"{owner} has no attribute {name!r}{advice}", name=name)
