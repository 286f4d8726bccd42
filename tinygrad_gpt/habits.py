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

MODULE = {
    "add_module": "an attribute: model.name = module",
    "apply": "for module in model.modules()",
    "children": "model.modules()",
    "cpu": 'model.to("cpu")',
    "cuda": 'model.to("cuda")',
    "double": "model.to(np.float64)",
    "float": "model.to(np.float32)",
    "half": 'model.to(np.float32) with set_matmul_precision("bfloat16")',
    "register_forward_hook": "with model.watching(path) as seen",
    "register_buffer": "an attribute: model.name = array",
    "register_parameter": "an attribute: model.name = Parameter(array)",
    "requires_grad_": "p.requires_grad = False for p in model.parameters()",
}

OPTIMIZER = {
    "add_param_group": "one optimiser for each group",
    "param_groups": "optimizer.lr, and optimizer.params for the parameters by name",
    "state": "optimizer.slots",
}

LAYERS = {
    "CrossEntropyLoss": "functional.cross_entropy",
    "GELU": "functional.gelu",
    "ModuleDict": "a dictionary as an attribute of a Module",
    "ModuleList": "a list as an attribute of a Module",
    "MSELoss": "((x - y) ** 2).mean()",
    "MultiheadAttention": "nn.MultiHeadAttention",
    "ReLU": "functional.relu",
    "Sequential": "a Module with a list of layers, and a forward that calls one after the other",
    "Softmax": "functional.softmax",
    "Tanh": "functional.tanh",
    "functional": "tinygrad_gpt.functional",
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
