"""P14: is the learning rate right at its ends: in the first and last steps of the warm-up, and of the training?"""

from collections.abc import Callable

from tinygrad_gpt.check.probes.probed import Probed, Question

QUESTION = Question("P14", "the step with the highest learning rate")
FEW, MANY = 5, 1000  # steps at the ends, and in between


def schedule(
    rate: Callable[[int], float], *, warmup: int, total: int, lr: float, min_lr: float | None = None
) -> Probed:
    """rate(step), for the steps 0 .. total - 1: from above 0 up to lr over `warmup` steps, and then down.

    lr      the highest rate
    min_lr  the rate at the end, which only the last step comes near; None: there is none. lr: it stays at lr
    """
    between = range(0, total, -(-total // MANY))
    asked = sorted({*range(min(total, warmup + 2 * FEW)), *between, *range(max(0, total - FEW), total)})
    rates = {step: float(rate(step)) for step in asked}
    peak = max(rates, key=lambda step: rates[step])
    last_up = min(warmup, total - 1)
    expected = f"{last_up - 1} or {last_up}" if warmup else "0"
    first, last = [*rates.values()][:FEW], [*rates.values()][-FEW:]
    ends = f"it begins with {_listed(first)} and ends with {_listed(last)}"
    if not first[0] > 0:
        why = f"the first step has a rate of {first[0]:g}, and moves nothing: {ends}"
        return QUESTION.wrong(peak, expected, why, "T13")
    if not last_up - 1 <= peak <= last_up:
        why = f"the warm-up of {warmup} steps should end at step {last_up}: {ends}"
        return QUESTION.wrong(peak, expected, why, "T13", *(("T14",) if peak < last_up - 1 else ()))
    if warmup < total and abs(rates[peak] - lr) > 0.01 * lr:
        why = f"the highest rate is {rates[peak]:g}, in place of {lr:g}: {ends}"
        return QUESTION.wrong(peak, expected, why, "T13")
    if min_lr is not None and min_lr < lr and total >= warmup + 2 * FEW:
        step_down = 3 * lr / (total - warmup)  # no schedule falls faster than this at its end
        if abs(last[-1] - min_lr) > step_down:
            why = f"the last step has a rate of {last[-1]:g}, far from {min_lr:g}: {ends}"
            return QUESTION.wrong(peak, expected, why, "T14", "T13")
        if last[0] <= min_lr:
            why = f"the lowest rate is reached {FEW} steps or more before the end: {ends}"
            return QUESTION.wrong(peak, expected, why, "T14")
    return QUESTION.right(peak, expected)


def _listed(rates: list[float]) -> str:
    return ", ".join(f"{rate:.3g}" for rate in rates)
