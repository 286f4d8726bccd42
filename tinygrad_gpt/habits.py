"""PyTorch's names for what has another name in this package: an AttributeError says what to write instead."""

TENSOR = {
    "add": "x + y",
    "argmax": "x.numpy().argmax(axis)",
    "argmin": "x.numpy().argmin(axis)",
    "bmm": "x @ y",
    "bool": "x.astype(bool)",
    "clamp": "functional.maximum, and for the other side -functional.maximum(-x, -limit)",
    "clone": "tensor(x), a copy without a graph",
    "contiguous": "x itself: every op takes any layout",
    "copy": "tensor(x), a copy without a graph",
    "cpu": 'x.to("cpu")',
    "cuda": 'x.to("cuda")',
    "dim": "x.ndim",
    "div": "x / y",
    "double": "x.astype(np.float64)",
    "expand": "x.broadcast_to(shape)",
    "flatten": "x.reshape(-1)",
    "float": "x.astype(np.float32)",
    "gather": "x[rows, ids]",
    "half": "float32 or float64: float16 is not supported",
    "int": "x.astype(np.int32)",
    "is_cuda": "x.device",
    "long": "x.astype(np.int64)",
    "mT": "x.swapaxes(-1, -2)",
    "masked_fill": "functional.where(mask, value, x)",
    "matmul": "x @ y",
    "min": "-(-x).max()",
    "mm": "x @ y",
    "mul": "x * y",
    "neg": "-x",
    "norm": "(x * x).sum().sqrt()",
    "numel": "x.size",
    "permute": "x.transpose(axes)",
    "pow": "x ** n",
    "ravel": "x.reshape(-1)",
    "repeat": "x.broadcast_to(shape)",
    "requires_grad_": "x.requires_grad = True",
    "rsqrt": "1 / x.sqrt()",
    "squeeze": "x.reshape(shape)",
    "std": "x.var(correction=1).sqrt()",
    "sub": "x - y",
    "t": "x.T",
    "tolist": "x.numpy().tolist()",
    "type": "x.astype(dtype)",
    "unsqueeze": "x[..., None], or x.reshape(shape)",
    "view": "x.reshape(shape)",
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
    "CrossEntropyLoss": "functional.cross_entropy",
    "MSELoss": "((x - y) ** 2).mean()",
    "MultiheadAttention": "nn.MultiHeadAttention, or functional.attention",
    "ParameterDict": "a dictionary of Parameters as an attribute of a Module",
    "ParameterList": "a list of Parameters as an attribute of a Module",
    "TransformerEncoderLayer": "nn.Block",
}

FUNCTIONS = {
    "cat": "functional.concatenate",
    "clamp": "functional.maximum",
    "mse_loss": "((x - y) ** 2).mean()",
    "one_hot": "np.eye(n)[ids], or functional.embedding in place of the product",
    "scaled_dot_product_attention": "functional.attention",
    "stack": "functional.concatenate([x[None], y[None]])",
}

PACKAGE = {
    **FUNCTIONS,
    "arange": "tensor(np.arange(n))",
    "argmax": "x.numpy().argmax(axis)",
    "enable_grad": "a block outside of no_grad",
    "eye": "tensor(np.eye(n))",
    "float32": "np.float32",
    "float64": "np.float64",
    "from_numpy": "Tensor(array)",
    "inference_mode": "no_grad",
    "int64": "np.int64",
    "long": "np.int64",
    "ones": "tensor(np.ones(shape, np.float32))",
    "rand": "tensor(rng.random(shape, np.float32)) with rng = np.random.default_rng(seed)",
    "randint": "rng.integers(low, high, shape) with rng = np.random.default_rng(seed)",
    "randn": "tensor(rng.standard_normal(shape, np.float32)) with rng = np.random.default_rng(seed)",
    "set_grad_enabled": "no_grad",
    "zeros": "tensor(np.zeros(shape, np.float32))",
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
