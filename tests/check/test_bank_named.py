"""Every mistake of the bank is named as itself, and no report ever names another."""

import pytest

from tinygrad_gpt.cases import cases
from tinygrad_gpt.check import check_op, mistakes
from tinygrad_gpt.check.mistakes import general, models, training
from tinygrad_gpt.kernels import registry

pytestmark = pytest.mark.usefixtures("measured_along_directions_only")  # the diagnosis reads the reference's gradients


@pytest.mark.parametrize("mistake", mistakes.all_mistakes(), ids=lambda m: m.id)
def test_an_entry_is_named_as_itself_and_as_nothing_else(mistake):
    report = check_op(mistake.op, mistake.pair(), cases(mistake.op, large=False))
    assert not report.ok, "it passes"
    message = str(report)
    assert f"  {mistake.id}: {mistake.sentence}" in message and mistake.why in message
    assert {id for id in report.mistakes if not id.startswith("G")} == {mistake.id}, message


@pytest.mark.parametrize("op", sorted({m.op for m in mistakes.all_mistakes()}))
def test_the_right_pair_has_no_mistake(op):
    report = check_op(op, registry.reference(op), cases(op, large=False))
    assert report.ok and report.mistakes == ()


def test_ids_are_known_once():
    of_no_op = [m for module in (general, models, training) for m in module.MISTAKES]
    ids = [m.id for m in (*of_no_op, *mistakes.all_mistakes())]
    assert len(set(ids)) == len(ids) and {id[0] for id in ids} == set("ACDEGLMNST")
    assert all(mistakes.by_id(id).id == id for id in ids)


def test_a_mistake_of_no_op_has_no_pair():
    for id in ("G01", "A13", "T07"):
        assert mistakes.by_id(id).why and mistakes.by_id(id).look.endswith(("?", ")"))
        with pytest.raises(ValueError, match=f"{id} is not made in one op"):
            mistakes.by_id(id).pair()
