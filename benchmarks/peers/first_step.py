"""From nothing to the end of the first training step: one run of `startup.py`, whose result it prints as JSON.

python benchmarks/peers/first_step.py SETTINGS.json SIDE      SIDE: tinygrad_gpt | pytorch-VARIANT (see pytorch.py)
"""

import json
import sys
import time


def main() -> None:
    side = sys.argv[2]
    began = time.perf_counter()
    if side == "tinygrad_gpt":
        import tinygrad_gpt  # noqa: F401

        imported = time.perf_counter()
        import ours

        step = ours.prepare(*ours.sizes.read_settings(sys.argv[1]))
    else:
        import torch  # noqa: F401

        imported = time.perf_counter()
        import pytorch

        step = pytorch.prepare(*pytorch.sizes.read_settings(sys.argv[1]), side.removeprefix("pytorch-"))
    loss = float(step())  # PyTorch's is a tensor
    done = time.perf_counter()
    import isa  # which is where the peers' own modules have found theirs

    answer = {"import_s": imported - began, "first_step_s": done - began, "loss": loss}
    if isa.pinned():
        answer["seen"] = isa.seen()
    print(json.dumps(answer))


if __name__ == "__main__":
    main()
