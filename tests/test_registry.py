"""The one place of choice: which version runs, and what is said about it."""

import re
import types

import numpy as np
import pytest

import tinygrad_gpt as tg
from tinygrad_gpt.autograd import Tensor, apply
from tinygrad_gpt.kernels import recording, registry
from tinygrad_gpt.ops import add, exp

X = np.ones((2, 3), np.float32)


@pytest.fixture(autouse=True)
def only_the_reference(monkeypatch):
    """These tests bring their own versions, whatever kernels the package ships."""
    versions = {}

    def shipped(op, where="cpu"):
        if op not in versions:
            versions[op] = ((registry._reference_version(op),), (("numba", "not today"),))
        return versions[op]

    monkeypatch.setattr(registry, "_shipped", shipped)
    monkeypatch.setattr(registry, "_registered", {})


def doubled(x):
    y, saved = exp.forward(x)
    return 2 * y, saved


def small_only(x):
    return None if x.size < 4 else f"{x.size} elements are too many"


# --- choice ------------------------------------------------------------------------------------------------------


def test_the_latest_registered_version_that_fits_runs():
    first = tg.register("exp", doubled, exp.backward, name="first")
    second = tg.register("exp", doubled, exp.backward, name="second", why_not=small_only)
    assert registry.versions("exp")[:2] == (second, first)
    assert registry.choose("exp", (X,), {}) is first
    assert registry.choose("exp", (X[0],), {}) is second
    tg.unregister(second)
    assert registry.choose("exp", (X[0],), {}) is first
    tg.unregister(first)
    assert registry.choose("exp", (X,), {}).name == "reference"


def test_a_registered_pair_runs_in_forward_and_backward():
    tg.register("exp", doubled, lambda dy, saved: (10 * dy,))
    x = Tensor(X, requires_grad=True)
    y = apply("exp", x)
    assert y.node.version.name == "yours" and np.allclose(y.data, 2 * np.exp(1))
    y.backward(np.ones_like(X))
    assert np.array_equal(x.grad, 10 * X)


def test_the_version_of_the_forward_keeps_its_backward():
    """A graph made with one version walks back with it, whatever is registered meanwhile."""
    x = Tensor(X, requires_grad=True)
    y = apply("exp", x)
    tg.register("exp", doubled, lambda dy, saved: (0 * dy,))
    y.backward(np.ones_like(X))
    assert np.allclose(x.grad, np.exp(1))


def test_check_runs_before_any_version():
    tg.register("add", lambda a, b: pytest.fail("forward ran on shapes that don't fit"), add.backward)
    with pytest.raises(ValueError, match=re.escape("got (2, 3) and (4,)")):
        apply("add", X, np.ones(4, np.float32))


def test_unknown_ops():
    for call in (lambda: apply("expp", X), lambda: tg.register("expp", None, None), lambda: tg.explain("expp", X)):
        with pytest.raises(ValueError, match=r"there is no op 'expp' \(did you mean exp\?\); `tinygrad-gpt op` lists"):
            call()


def test_op_names_are_the_files_of_the_textbook():
    names = registry.op_names()
    assert {"add", "layer_norm", "attention", "cross_entropy"} <= set(names)
    assert not {"adamw", "sum_squares", "_shapes"} & set(names)
    for op in names:
        module = registry.reference(op)
        assert callable(module.forward) and callable(module.backward), op
        assert module.__doc__, f"ops/{op}.py says nothing"


def test_routines_have_no_backward():
    (version,) = registry.versions("sum_squares")
    assert version.backward is None
    assert registry.run("sum_squares", X) == pytest.approx(6.0)


# --- using -------------------------------------------------------------------------------------------------------


def test_using_forces_a_version_and_nests():
    tg.register("exp", doubled, exp.backward)
    chosen = lambda: registry.choose("exp", (X,), {}).name  # noqa: E731
    assert chosen() == "yours"
    with tg.using("reference"):
        assert chosen() == "reference"
        with tg.using(exp="yours"):
            assert chosen() == "yours"
            with tg.using(mul="reference"):  # a block about another op leaves the outer one in force
                assert chosen() == "yours"
        assert chosen() == "reference"
    assert chosen() == "yours"


def test_a_forced_reference_loads_no_kernels(monkeypatch):
    monkeypatch.setattr(registry, "_shipped", lambda *a: pytest.fail("kernels were loaded"))
    with tg.using("reference"):
        assert registry.choose("exp", (X,), {}).name == "reference"


def test_using_one_op_leaves_the_others():
    tg.register("exp", doubled, exp.backward)
    tg.register("neg", lambda x: (x, None), lambda dy, saved: (dy,))
    with tg.using(exp="reference"):
        assert registry.choose("exp", (X,), {}).name == "reference"
        assert registry.choose("neg", (X,), {}).name == "yours"


def test_using_ends_with_an_error_inside():
    tg.register("exp", doubled, exp.backward)
    with pytest.raises(KeyError), tg.using("reference"):
        raise KeyError
    assert registry.choose("exp", (X,), {}).name == "yours"


def test_a_forced_version_that_cannot_gives_way_to_the_reference():
    tg.register("exp", doubled, exp.backward, name="small", why_not=small_only)
    tg.register("exp", doubled, exp.backward, name="other")
    with tg.using(exp="small"):
        assert registry.choose("exp", (X[0],), {}).name == "small"
        assert registry.choose("exp", (X,), {}).name == "reference"


def test_using_unknown_names():
    with (
        pytest.raises(ValueError, match=r"a version's name \(cuda, numba, reference\), got 'nunba'"),
        tg.using("nunba"),
    ):
        pass
    with pytest.raises(ValueError, match="exp has the versions reference, not 'mine'"), tg.using(exp="mine"):
        pass
    with pytest.raises(ValueError, match="there is no op 'expp'"), tg.using(expp="reference"):
        pass
    assert registry._forced.get() == ()


def test_whether_the_user_chose():
    assert not registry.user_chose("exp")
    with tg.using("reference"):
        assert not registry.user_chose("exp")
    with tg.using(exp="reference"):
        assert registry.user_chose("exp") and not registry.user_chose("neg")
    version = tg.register("exp", doubled, exp.backward)
    assert registry.user_chose("exp") and not registry.user_chose("neg")
    with tg.using("yours"):
        assert registry.user_chose("exp") and not registry.user_chose("neg")
    with tg.using("reference"):
        assert not registry.user_chose("exp")
    tg.unregister(version)
    assert not registry.user_chose("exp")


# --- explain -----------------------------------------------------------------------------------------------------


def test_explain_gives_a_reason_for_every_version():
    tg.register("exp", doubled, exp.backward, name="old")
    tg.register("exp", doubled, exp.backward, name="small", why_not=small_only)
    assert tg.explain("exp", X).splitlines() == [
        "exp on float32(2, 3)",
        "  numba: not today",
        "  small: 6 elements are too many",
        "  old: runs",
        "  reference: not needed",
    ]


def test_explained_gives_the_rows_that_explain_prints():
    rows = [("numba", "not today"), ("reference", "runs")]
    assert registry.explained("exp", X) == ("exp on float32(2, 3)", rows)


def test_a_fused_op_asks_for_each_of_its_parts():
    assert not registry.user_chose_a_part("gelu_linear") and not registry.user_chose_a_part("add_layer_norm")
    with tg.using(gelu="reference", layer_norm="reference"):
        assert registry.user_chose_a_part("gelu_linear") and registry.user_chose_a_part("add_layer_norm")
    with tg.using(linear="reference"):
        assert registry.user_chose_a_part("gelu_linear") and not registry.user_chose_a_part("add_layer_norm")


def test_explain_tells_versions_of_one_name_apart():
    for _ in range(2):
        tg.register("exp", doubled, exp.backward)
    assert tg.explain("exp", X).splitlines()[2:] == ["  yours: runs", "  yours: not needed", "  reference: not needed"]


def test_explain_takes_numpy_scalars():
    assert tg.explain("exp", np.float32(1)).splitlines()[0] == "exp on float32()"


def test_explain_inside_using_and_with_tensors_and_none():
    tg.register("exp", doubled, exp.backward)
    with tg.using("reference"):
        assert "  yours: set aside by using(...)" in tg.explain("exp", Tensor(X))
        assert "  reference: runs" in tg.explain("exp", Tensor(X))
    first_line = tg.explain("layer_norm", Tensor(X), np.ones(3, np.float32), None).splitlines()[0]
    assert first_line == "layer_norm on float32(2, 3), float32(3,), None"


def test_versions_print_as_op_and_name():
    assert str(registry.versions("exp")[0]) == "exp[reference]"


def test_on_the_cpu_nothing_is_recorded():
    assert recording.recorded(exp.forward, "cpu") is exp.forward


# --- what the package ships --------------------------------------------------------------------------------------


def test_a_kernel_file_is_found_and_asked_first(monkeypatch):
    monkeypatch.undo()  # the real _shipped
    monkeypatch.setattr("tinygrad_gpt.kernels.small.LEAST", 0)
    kernel = types.SimpleNamespace(forward=exp.forward, backward=exp.backward, why_not=small_only)
    kernel.forward = lambda x, precision=None: exp.forward(x)
    folder = types.SimpleNamespace(missing=lambda: None, cannot_round=lambda precision: "too old", PRECISIONS={})
    files = {"numba", f"{registry.PACKAGE}.kernels.numba.exp"}
    monkeypatch.setattr(registry.importlib.util, "find_spec", lambda name: object() if name in files else None)
    real_import = registry.importlib.import_module
    registry.no_kernels.cache_clear()
    planted = {f"{registry.PACKAGE}.kernels.numba": folder, f"{registry.PACKAGE}.kernels.numba.exp": kernel}
    monkeypatch.setattr(registry.importlib, "import_module", lambda name: planted.get(name) or real_import(name))
    versions, absent = registry._shipped.__wrapped__("exp")
    assert [v.name for v in versions] == ["numba", "reference"] and absent == ()
    assert versions[0].why_not(X) == "6 elements are too many"
    folder.PRECISIONS["exp"] = ("bfloat16",)
    versions, _ = registry._shipped.__wrapped__("exp")
    assert [v.name for v in versions] == ["bfloat16", "numba", "reference"]
    assert versions[0].why_not(X) == "the precision of matrix products is float32"
    with tg.using_matmul_precision("bfloat16"):
        assert versions[0].why_not(X) == "too old"


def test_where_numba_does_not_load_the_reference_runs(monkeypatch):
    monkeypatch.undo()
    real_import = registry.importlib.import_module

    def broken(name):
        if "numba" in name:
            raise ImportError("Numba needs NumPy 2.3 or less\nand more lines")
        return real_import(name)

    registry.no_kernels.cache_clear()
    monkeypatch.setattr(registry.importlib, "import_module", broken)
    with pytest.warns(RuntimeWarning, match="the slower reference does: numba does not load"):
        versions, absent = registry._shipped.__wrapped__("layer_norm")
    registry.no_kernels.cache_clear()
    assert [v.name for v in versions] == ["reference"]
    assert absent == (("numba", "numba does not load: Numba needs NumPy 2.3 or less"),)


def test_without_numba_the_reference_runs_and_explain_says_why(monkeypatch):
    monkeypatch.undo()
    registry.no_kernels.cache_clear()
    monkeypatch.setattr(registry.importlib.util, "find_spec", lambda name: None)
    versions, absent = registry._shipped.__wrapped__("exp")
    assert [v.name for v in versions] == ["reference"]
    registry.no_kernels.cache_clear()
    assert absent == (("numba", "numba is not installed"),)
