"""Next token: at every position of a text, which token follows? The task of a language model.

x  (B, T)   windows of the training text
y  (B, T)   the token after each: y[b, t] follows x[b, :t+1]
loss        mean cross-entropy of the model's logits with y, in nats per token
"""

import dataclasses
from collections.abc import Iterator
from dataclasses import dataclass

from tinygrad_gpt.data.batches import ORDERS, check_length, sequential_batches
from tinygrad_gpt.data.tokenizers import Tokenizer
from tinygrad_gpt.data.tokens import TokenSet
from tinygrad_gpt.generate.text import encode_prompt, stream_text
from tinygrad_gpt.progress import Progress, no_progress
from tinygrad_gpt.settings import check_settings, setting
from tinygrad_gpt.tasks.baselines import text_facts
from tinygrad_gpt.tasks.perplexity import evaluate
from tinygrad_gpt.tasks.task import Loss, Task

# The piece of validation text that the health check looks at: a sixth of a training step at most.
PROBE_TOKENS = 512
PROBE_LENGTH = 128  # of each window; it bounds the memory that the attention weights of all layers take


@dataclass(frozen=True)
class NextTokenConfig:
    """Which text, in which tokens, in which order. Raises UserError for a value that is not allowed."""

    corpus: str = setting("python-docs", "Data", "name of a corpus, or path of a text file or of a folder of them")
    tokenizer: str = setting(
        "char",
        "Data",
        "char, bpe or gpt1 (trained on the corpus), own (of the model that --from names), or the path of a saved "
        "tokenizer or of GPT-2's or GPT-1's vocabulary",
    )
    bpe_vocab: int = setting(4096, "Data", "tokens that a bpe or gpt1 tokenizer learns", low=256)
    from_: str = setting(
        "",
        "Data",
        "trained model to start from, whose shape is kept: a run folder, a Hugging Face folder, or a name on their hub",
    )
    window: int | None = setting(
        None, "Data", "tokens of a training window; by default block_size, with --from at most 1024", low=1
    )
    batches: str = setting(
        "random", "Data", "windows at random places, or side by side and each once an epoch", choices=tuple(ORDERS)
    )
    eval_tokens: int = setting(
        20_000, "Run", "validation tokens per evaluation (the last evaluation uses all)", low=1, free=True
    )
    prompt: str = setting(
        "", "Run", "text that the sample at the end begins with; by default a line end, not shown", free=True
    )
    sample_tokens: int = setting(500, "Run", "length of the sample at the end", low=0, free=True)

    def __post_init__(self):
        check_settings(self)


class NextToken(Task):
    """The next token of a text.

    tokens      the text
    window      T, tokens that the model reads at once
    batch_size  windows that go through the model at once, of which a step has `accumulate` times as many
    seed        decides the windows of each step, and the sample

    Raises UserError for texts shorter than a window, and for a prompt that the tokenizer cannot encode.
    """

    name = "next-token"

    def __init__(
        self,
        config: NextTokenConfig,
        tokens: TokenSet,
        tokenizer: Tokenizer,
        window: int,
        batch_size: int,
        accumulate: int = 1,
        seed: int = 1,
    ):
        self.config, self.tokens, self.tokenizer, self.window = config, tokens, tokenizer, window
        self.batch_size, self.rows, self.seed = batch_size, accumulate * batch_size, seed
        check_length(tokens.train, window, "training text")
        check_length(tokens.val, window, "validation text")
        self.prompt = encode_prompt(tokenizer, config.prompt, fallback=int(tokens.val[0]))

    def batch(self, step):
        return ORDERS[self.config.batches](self.tokens.train, self.rows, self.window, self.seed, step)

    def loss(self, model, x, y) -> Loss:
        return Loss(model.loss(x, y))

    def evaluate(self, model, last: bool = False, progress: Progress = no_progress) -> dict[str, float]:
        limit = None if last else self.config.eval_tokens
        score = evaluate(model, self.tokens.val, self.batch_size, limit, self.window, progress)
        return {"val_loss": score.loss}

    def sample(self, model) -> Iterator[str]:
        if self.config.sample_tokens:
            yield self.config.prompt
            yield from stream_text(model, self.tokenizer, self.prompt, self.config.sample_tokens, seed=self.seed)

    def probe(self):
        """x and y (B, T) of a small piece of the validation text, spread evenly over it."""
        length = min(self.window, PROBE_LENGTH)
        return next(sequential_batches(self.tokens.val, -(-PROBE_TOKENS // length), length, limit=1))

    def answers(self, model, x, y):
        return model.head(model.features(x)), y

    def settings(self):
        return dataclasses.asdict(self.config)

    def facts(self, model):
        return {"choices": model.config.vocab_size} | dataclasses.asdict(text_facts(self.tokens.train))
