"""PyTorch's names for what has another name in this package: an AttributeError says what to write instead."""

from collections.abc import Callable, Iterable
from typing import TypeVar

from tinygrad_gpt.errors import did_you_mean

Class = TypeVar("Class", bound=type)

_in_place = "x.data[...] = y, or x += y inside no_grad(), or a new Tensor: a graph would not know of the change"

TENSOR = {
    **dict.fromkeys(("abs_", "add_", "clamp_", "copy_", "div_", "exp_", "fill_", "masked_fill_", "mul_"), _in_place),
    **dict.fromkeys(("neg_", "normal_", "pow_", "sqrt_", "squeeze_", "sub_", "uniform_", "unsqueeze_"), _in_place),
    **dict.fromkeys(("new_empty", "new_full", "new_ones", "new_zeros"), "functional.full(size, value, dtype=x.dtype)"),
    **dict.fromkeys(("det", "inverse", "svd"), "np.linalg with x.numpy()"),
    **dict.fromkeys(("scatter_", "scatter_add_", "index_add_"), "functional.where, or functional.one_hot"),
    "addmm": "y + a @ b",
    "data_ptr": "memory.address(x.data)",
    "grad_fn": "x.node",
    "is_contiguous": "x in any layout: every function takes it",
    "new_tensor": "functional.tensor(values, dtype=x.dtype)",
    "stride": "x.data.strides, in bytes",
    "unique": "np.unique(x.numpy())",
    "zero_": "x.data[...] = 0 before x is used; for a gradient x.grad = None",
    "copy": "x.clone(), or x.detach().clone() without a graph",
    "element_size": "x.dtype.itemsize",
    "expand_as": "x.expand(y.shape)",
    "bfloat16": 'set_matmul_precision("bfloat16")',
    "half": "float32 or float64: float16 is not supported",
    "is_cuda": "x.device",
    "is_floating_point": 'x.dtype.kind == "f"',
    "nonzero": "x.numpy().nonzero()",
    "register_hook": "x.retain_grad(), or for each step of loss.backward_steps()",
    "reshape_as": "x.reshape(y.shape)",
    "scatter": "functional.where, or functional.one_hot",
    "view_as": "x.view(y.shape)",
    "where": "functional.where(condition, x, y)",
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

_own = "op(name, forward, backward), for a layer of one's own"
_convolution = f"{_own}: there are no convolutions and no pooling"
_recurrent = "nn.Block, a Transformer's: there are no recurrent layers"
_activation = "functional.relu, functional.gelu or functional.silu"

LAYERS = {
    **dict.fromkeys(("Conv1d", "Conv2d", "Conv3d", "ConvTranspose2d", "MaxPool1d", "MaxPool2d"), _convolution),
    **dict.fromkeys(("AvgPool2d", "AdaptiveAvgPool2d"), _convolution),
    **dict.fromkeys(("BatchNorm1d", "BatchNorm2d", "GroupNorm", "InstanceNorm2d"), "nn.LayerNorm or nn.RMSNorm"),
    **dict.fromkeys(("GRU", "GRUCell", "LSTM", "LSTMCell", "RNN", "RNNCell"), _recurrent),
    **dict.fromkeys(("ELU", "Hardtanh", "Mish", "PReLU", "SELU"), _activation),
    **dict.fromkeys(("HuberLoss", "SmoothL1Loss"), "nn.L1Loss or nn.MSELoss"),
    "BCELoss": "nn.BCEWithLogitsLoss, of the numbers before the sigmoid",
    "CosineSimilarity": "functional.cosine_similarity",
    "DataParallel": "the model itself: it computes on all cores of one machine, or on one GPU",
    "LeakyReLU": "functional.maximum(x, 0.01 * x)",
    "Softplus": "functional.softplus",
    "TransformerDecoderLayer": "nn.Block",
    "TransformerEncoder": "nn.ModuleList of nn.Block",
    "KLDivLoss": "functional.kl_div",
    "MultiheadAttention": "nn.MultiHeadAttention, or functional.attention",
    "ParameterDict": "a dictionary of Parameters as an attribute of a Module",
    "ParameterList": "a list of Parameters as an attribute of a Module",
    "TransformerEncoderLayer": "nn.Block",
}

UTILS = {
    "clip_grad_norm": "clip_grad_norm_",
    "parameters_to_vector": "functional.concatenate([p.reshape(-1) for p in model.parameters()])",
    "rnn": "generate.pad_left, or functional.pad: there are no recurrent layers",
}

OPTIMIZERS: dict[str, str] = dict.fromkeys(
    ("ASGD", "Adadelta", "Adafactor", "Adagrad", "Adamax", "LBFGS", "Muon", "NAdam", "RAdam", "RMSprop", "Rprop"),
    "optim.AdamW or optim.SGD, or a subclass of optim.Optimizer",
)

AUTOGRAD = {
    "Function": "op(name, forward, backward), a pair of functions on arrays",
    "Variable": "Tensor",
    "detect_anomaly": "debug()",
    "functional": "loss.backward(): there are no second derivatives",
    "grad": "loss.backward(), and then x.grad",
    "gradcheck": "check.gradcheck",
    "set_detect_anomaly": "debug()",
}

FUNCTIONS = {
    **dict.fromkeys(("conv1d", "conv2d", "max_pool2d", "avg_pool2d"), _convolution),
    **dict.fromkeys(("huber_loss", "smooth_l1_loss"), "functional.l1_loss or functional.mse_loss"),
    "batch_norm": "functional.layer_norm or functional.rms_norm",
    "binary_cross_entropy": "functional.binary_cross_entropy_with_logits, of the numbers before the sigmoid",
    "mish": "functional.silu",
    "elu": "functional.relu, functional.gelu or functional.silu",
    "hardtanh": "functional.clamp",
    "leaky_relu": "functional.maximum(x, 0.01 * x)",
    "swish": "functional.silu",
}

PACKAGE = {
    **FUNCTIONS,
    "BoolTensor": "tensor(data, dtype=bool)",
    "FloatTensor": "tensor(data, dtype=float32)",
    "Generator": "manual_seed: one stream of random numbers",
    "LongTensor": "tensor(data, dtype=int64)",
    "addmm": "y + a @ b",
    "amp": 'set_matmul_precision("bfloat16")',
    "as_tensor": "Tensor(array), which shares the array's memory",
    "autograd": "op(name, forward, backward) for a function of one's own, and loss.backward() for gradients",
    "autocast": 'set_matmul_precision("bfloat16")',
    "bfloat16": 'set_matmul_precision("bfloat16")',
    "compile": "the model itself: its kernels are compiled at first use",
    "cuda": 'device("auto"), the GPU if one can be used, else the CPU',
    "double": "float64",
    "dtype": "np.dtype",
    "empty": "zeros(size)",
    "empty_like": "zeros_like(x)",
    "float": "float32",
    "float16": "float32 or float64: float16 is not supported",
    "half": "float32 or float64: float16 is not supported",
    "int": "int32",
    "jit": "the model itself: its kernels are compiled at first use",
    "linalg": "np.linalg with x.numpy()",
    "meshgrid": "np.meshgrid, or x[:, None] with y[None, :], which broadcast",
    "nonzero": "x.numpy().nonzero()",
    "scatter": "functional.where, or functional.one_hot",
    "set_default_dtype": "array.set_default_dtype",
    "unique": "np.unique(x.numpy())",
    "utils": "data, for batches of tokens",
}

# What has PyTorch's name and is not all that PyTorch's is: name, or name(argument=) -> the difference and why. A name
# without a place is a function or a method of Tensors; nn(device=) is true of all of nn. The other shared names give
# the same values, dtypes and gradients: tests/reference/test_names_of_pytorch.py and its neighbours compare them.
_draws = "other numbers than PyTorch's for a seed: all come from the package's one stream"
_converts = (
    "where a gradient would have to flow back through a change of dtype or device, it is refused: x.detach() first"
)

_by_name = "by its name: between them PyTorch has arguments that it warns of"
_fast = "says how PyTorch computes, not what"

DIFFERENCES = {
    "__iadd__": "x += y (and -=, *=, /=, ...) changes a leaf in place where gradients are disabled, or where it has "
    "none and nothing else holds its memory; elsewhere x is a new Tensor, and other names of the old one do not see it",
    "__setitem__": "x[...] = y as x += y; where that would make a new Tensor it is refused",
    "Tensor": "Tensor(array) shares the array's memory; torch.Tensor(2, 3) makes one of that shape: zeros(2, 3)",
    "backward": "no retain_graph and no create_graph: a graph is walked once, and there are no second derivatives",
    "cpu": _converts,
    "cross_entropy": "the classes are the LAST axis, where all functions here have their channels, and PyTorch's are "
    "the second. For logits (N, V) that is one thing; (N, V, T) takes x.transpose(1, 2), and is refused unless V = T. "
    "Targets are integers; where all of them are to be ignored, that is an error and not nan",
    "cuda": _converts,
    "data": "the array itself, to be read or changed; PyTorch's is a Tensor",
    "device": "there is one GPU, cuda, which CUDA_VISIBLE_DEVICES chooses; auto is the GPU if one can be used",
    "div": "no rounding_mode: x // y for integers",
    "dropout": _draws,
    "float": _converts,
    "double": _converts,
    "grad": "an array; PyTorch's is a Tensor",
    "inference_mode": "no_grad by another name",
    "layer_norm": "over the last axis alone",
    "load": "opens a run, or what save wrote; PyTorch's reads a pickled object",
    "log_softmax(dim=)": "may be left out, and is the last axis then; PyTorch guesses one, and warns",
    "manual_seed": "returns nothing. " + _draws,
    "max": "where elements are nan, the gradient of the largest of all is nan; PyTorch's is shared by those",
    "max(axis=)": "axis= gives the values alone, as NumPy does; dim= gives values and indices in both",
    "mean": "of no elements it is an error and not nan",
    "min": "as max",
    "min(axis=)": "as max(axis=)",
    "multinomial": _draws,
    "numpy": "works for Tensors that require a gradient too",
    "pow": "the exponent is a Python number",
    "prod": "the gradient of a nan is the product of the other elements; PyTorch's is nan for the whole row",
    "rand": _draws,
    "rand_like": _draws,
    "randint": _draws,
    "randn": _draws,
    "randn_like": _draws,
    "randperm": _draws,
    "requires_grad": "a plain attribute: set to True on integers, or to False on a computed Tensor, it is not refused; "
    "requires_grad_() refuses both",
    "retain_grad": "returns the Tensor",
    "save": "see load",
    "size": "an integer too, the number of elements, as NumPy's x.size",
    "softmax(dim=)": "as log_softmax(dim=)",
    "std": "of too few elements it is an error and not nan",
    "sub": "floats minus booleans counts these as 0 and 1; PyTorch refuses",
    "to": _converts,
    "type": "takes a dtype; without one, use x.dtype",
    "var": "of too few elements it is an error and not nan",
    "view": "where PyTorch's refuses, since the elements don't lie one after the other, it copies",
    "where": "where(condition) alone is np.nonzero",
    # Layers and losses
    "nn(device=, dtype=)": "made on the CPU in the default dtype: then model.to(...)",
    "nn(inplace=)": "True is refused: no op writes to its input",
    "nn(size_average=, reduce=)": "old names that PyTorch warns of: reduction=, by its name",
    "nn.BCEWithLogitsLoss(reduction=, pos_weight=)": _by_name,
    "nn.CrossEntropyLoss": "the classes are the LAST axis; no class weights: NLLLoss(weight) of log_softmax. See "
    "cross_entropy",
    "nn.CrossEntropyLoss(ignore_index=, reduction=, label_smoothing=)": _by_name,
    "nn.Dropout": "p=1 is refused. " + _draws,
    "nn.Embedding(padding_idx=)": "refused: mask padding, with attention's mask and cross_entropy's ignore_index",
    "nn.Embedding(max_norm=, norm_type=, scale_grad_by_freq=, sparse=, _weight=, _freeze=)": "not here: gradients of "
    "embeddings are sparse by themselves, and requires_grad_(False) freezes",
    "nn.L1Loss(reduction=)": _by_name,
    "nn.LayerNorm": "over the last axis alone",
    "nn.Linear": "weights start as normal with standard deviation 1/sqrt(in_features), biases as 0; PyTorch's are "
    "nn.init.kaiming_uniform_(weight, a=5**0.5), and uniform up to 1/sqrt(in_features)",
    "nn.LogSoftmax(dim=)": "as Softmax(dim=)",
    "nn.MSELoss(reduction=)": _by_name,
    "nn.NLLLoss(ignore_index=, reduction=)": _by_name,
    "nn.Parameter(data=)": "must be given",
    "nn.Softmax(dim=)": "must be given; PyTorch guesses one without it, and warns",
    # Modules
    "Module": "Modules and Parameters in plain lists, tuples and dictionaries are found too; what "
    "hooks are for, watching shows: with model.watching(path) as seen",
    "Module.cuda(device=)": "there is one GPU, cuda",
    "Module.load_state_dict": "a state that does not fit is a ValueError; PyTorch's is a RuntimeError",
    "Module.load_state_dict(assign=)": "weights are copied",
    "Module.modules(remove_duplicate=)": "each Module once",
    "Module.named_modules(memo=, prefix=, remove_duplicate=)": "each Module once, by the paths from this one",
    "Module.named_parameters": "in the order of the attributes; PyTorch gives a Module's own Parameters first",
    "Module.state_dict": "holds the arrays themselves; a weight that two layers share stands there once, under its "
    "first name",
    "Module.state_dict(destination=, prefix=, keep_vars=)": "the whole state, as arrays",
    "Module.to": "one dtype or one device at a time",
    # Initial values and gradients
    "nn.init(generator=)": "all numbers come from the package's one stream: manual_seed",
    "nn.utils(foreach=)": _fast,
    "nn.utils.clip_grad_norm_": "leaves the gradients as they are where their norm is not finite",
    "nn.utils.clip_grad_norm_(norm_type=)": "2 alone",
    # Optimisers
    "optim": "a setting that a group cannot have is refused, and so is a Tensor that does not require gradients",
    "optim(foreach=, fused=, capturable=, differentiable=)": _fast,
    "optim(maximize=)": "(-loss).backward()",
    "optim(amsgrad=)": "not here",
    "optim.Adam(decoupled_weight_decay=)": "AdamW",
    "optim.SGD": "momentum=1 is refused",
    "Optimizer.load_state_dict": "takes what state_dict gave",
    "Optimizer.state_dict": "name -> array, as a safetensors file holds them, without the settings of the groups",
    "Optimizer.step(closure=)": "refused: loss.backward(), then step()",
    "Optimizer.step(grad_scale=)": "a factor of all gradients, such as clip_scale gives",
    "LRScheduler.load_state_dict": "sets the learning rates of the groups too",
    "LRScheduler.step(epoch=)": "not here; PyTorch warns of it",
    "optim.lr_scheduler": "each learning rate comes from initial_lr and the step alone, not from the rate before "
    "it; one that something else has changed, by hand or as a second scheduler, is refused",
}


def instead() -> list[tuple[str, str]]:
    """(name, what to write) for PyTorch's names that are not here: Tensor.zero_, nn.KLDivLoss, ..."""
    owners = {"": PACKAGE, "Tensor.": TENSOR, "Module.": MODULE, "nn.": LAYERS}
    owners |= {"Optimizer.": OPTIMIZER, "optim.": OPTIMIZERS, "optim.lr_scheduler.": SCHEDULERS}
    owners |= {"nn.utils.": UTILS, "autograd.": AUTOGRAD}
    return [(owner + name, advice) for owner, names in owners.items() for name, advice in names.items()]


class Habit:
    """An attribute that raises an AttributeError with advice. (A __getattr__ would do the same, but make every other
    attribute slower.)"""

    def __init__(self, name: str, advice: str):
        self.name, self.advice = name, advice

    def __get__(self, instance, owner):
        raise missing(owner.__name__, self.name, {self.name: self.advice})


def tells(habits: dict[str, str]) -> Callable[[Class], Class]:
    """A decorator of classes: these attributes of their instances then say what to write instead."""

    def decorate(cls: Class) -> Class:
        for name, advice in habits.items():
            setattr(cls, name, Habit(name, advice))
        return cls

    return decorate


def missing(owner: str, name: str, habits: dict[str, str], names: Iterable[str] = ()) -> AttributeError:
    """The error for an attribute that `owner` does not have, with advice if it is one of `habits`, else with the one
    of its `names` that is near. (For instances, Python itself says which attribute may have been meant.)"""
    advice = f"; instead, use {habits[name]}" if name in habits else did_you_mean(name, names)
    return AttributeError(f"{owner} has no attribute {name!r}{advice}", name=name)
