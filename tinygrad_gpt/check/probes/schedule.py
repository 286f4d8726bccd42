"""P14: is the learning rate right at its ends: in the warm-up's first and last steps, and in the training's last ones?"""

from collections.abc import Callable

from tinygrad_gpt.check.probes.probed import Probed, Question

QUESTION = Question("P14", "the step with the highest learning rate")
FEW = 5


def schedule(
    rate: Callable[[int], float], *, warmup: int, total: int, lr: float, min_lr: float | None = None
) -> Probed:
    """rate(step), for the steps 0 .. total - 1: from above 0 up to lr over `warmup` steps, and then down.

    lr      the highest rate
    min_lr  the rate at the end, which only the last step comes near; None: there is none. lr: it stays at lr
    """
    rates = [float(rate(step)) for step in range(total)]
    peak = max(range(total), key=lambda step: rates[step])
    last_up = min(warmup, total - 1)
    expected = f"{max(0, last_up - 1)} or {last_up}" if warmup else "0"
    ends = f"it begins with {_listed(rates[:FEW])} and ends with {_listed(rates[-FEW:])}"
    if not rates[0] > 0:
        return QUESTION.wrong(peak, expected, f"the first step has a rate of {rates[0]:g}, and moves nothing: {ends}", "T13")
    if not last_up - 1 <= peak <= last_up:
        why = f"the warm-up of {warmup} steps should end at step {last_up}: {ends}"
        return QUESTION.wrong(peak, expected, why, "T13", *(("T14",) if peak < last_up - 1 else ()))
    if warmup < total and abs(rates[peak] - lr) > 0.01 * lr:
        why = f"the highest rate is {rates[peak]:g}, in place of {lr:g}: {ends}"
        return QUESTION.wrong(peak, expected, why, "T13")
    if min_lr is not None and min_lr < lr and total >= warmup + 2 * FEW:
        step_down = 3 * lr / (total - warmup)  # no schedule falls faster than this at its end
        if abs(rates[-1] - min_lr) > step_down:
            why = f"the last step has a rate of {rates[-1]:g}, far from {min_lr:g}: {ends}"
            return QUESTION.wrong(peak, expected, why, "T14", "T13")
        if rates[-FEW] <= min_lr:
            why = f"the lowest rate is reached {FEW} steps or more before the end: {ends}"
            return QUESTION.wrong(peak, expected, why, "T14")
    return QUESTION.right(peak, expected)


def _listed(rates: list[float]) -> str:
    return ", ".join(f"{rate:.3g}" for rate in rates)
