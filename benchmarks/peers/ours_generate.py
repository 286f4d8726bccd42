"""tinygrad_gpt's side of `generate.py`. It also writes the weights that the other side loads.

python benchmarks/peers/ours_generate.py SETTINGS.json
"""

import json
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

import harness
import numba
import numpy as np
from generate import BATCH_TOKENS, BATCHES, MODES, Config, prompt, prompts
from safetensors.numpy import save_file

from tinygrad_gpt import memory, no_grad, random_stream
from tinygrad_gpt.generate import generate, generate_batch, pad_left
from tinygrad_gpt.models.gpt import GPT, GPTConfig

READ_EVERY = 8  # tokens


@numba.njit(parallel=True, fastmath=True)
def read(x, sums):
    """Sum of x, which is split among the threads: nothing but reading."""
    parts = sums.size
    for i in numba.prange(parts):
        part = x[i * x.size // parts : (i + 1) * x.size // parts]
        total = np.float32(0)
        for j in range(part.size):
            total += part[j]
        sums[i] = total


def main() -> None:
    settings = json.loads(Path(sys.argv[1]).read_text())
    weights = settings.pop("weights")
    config = Config(**settings)
    memory.keep_freed_memory()
    random_stream.manual_seed(0)
    model = GPT(
        GPTConfig(
            vocab_size=config.V,
            block_size=config.T,
            n_layer=config.layers,
            n_head=config.heads,
            n_embd=config.C,
        )
    ).eval()
    save_file(model.state_dict(), weights)
    ids = prompt(config)

    def scores() -> list[float]:
        with no_grad():
            return model.next_logits(np.array([ids])).numpy()[0].tolist()

    def write(tokens: int) -> list[int]:
        return list(generate(model, ids, tokens, temperature=0.0))

    def speed(mode: str, tokens: int) -> float:
        start = time.perf_counter()
        written = sum(1 for _ in generate(model, ids, tokens, **MODES[mode]))
        return written / (time.perf_counter() - start)

    def write_batch(batch: str) -> list[list[int]]:
        count, beams = BATCHES[batch]
        padded, mask = pad_left(prompts(config, count), 0)
        written = generate_batch(model, padded, mask, max_new_tokens=BATCH_TOKENS, num_beams=beams)
        return written[:, padded.shape[1] :].tolist()

    def speed_of_batch(batch: str) -> float:
        start = time.perf_counter()
        written = sum(map(len, write_batch(batch)))
        return written / (time.perf_counter() - start)

    def against_reading(tokens: int, size: int) -> dict[str, float]:
        """Write tokens, and every READ_EVERY of them read an array of `size` bytes once, on the same threads."""
        like_weights = np.ones(size // 4, np.float32)
        sums = np.empty(numba.get_num_threads(), np.float32)
        read(like_weights, sums)
        writing, reading, reads = 0.0, 0.0, 0
        last = time.perf_counter()
        for i, _ in enumerate(generate(model, ids, tokens, temperature=0.0), start=1):
            written = time.perf_counter()
            writing += written - last
            last = written
            if i % READ_EVERY == 0:
                read(like_weights, sums)
                last = time.perf_counter()
                reading += last - written
                reads += 1
        bound = reads / reading
        speed = tokens / writing
        return {"read_gb_per_s": size * bound / 1e9, "bound_tokens_per_s": bound, "share_of_bound": speed / bound}

    harness.serve(
        {
            "scores": scores,
            "write": write,
            "speed": speed,
            "write_batch": write_batch,
            "speed_of_batch": speed_of_batch,
            "against_reading": against_reading,
        }
    )


if __name__ == "__main__":
    main()
