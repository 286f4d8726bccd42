"""The task of a language model: at every position of a text, which token follows?

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
from tinygrad_gpt.nn.language_model import logits_of, loss_of
from tinygrad_gpt.progress import Progress, no_progress
from tinygrad_gpt.settings import advanced, check_settings, setting
from tinygrad_gpt.tasks.baselines import text_facts
from tinygrad_gpt.tasks.perplexity import evaluate
from tinygrad_gpt.tasks.task import Loss, Task

PROBE_TOKENS = 512  # of validation text for the health check: little work compared with a training step
PROBE_LENGTH = 128  # tokens of each window; it limits the memory of all layers' attention weights


@dataclass(frozen=True)
class TextConfig:
    """The text and its tokens. Raises UserError for a value that is not allowed."""

    corpus: str = setting("python-docs", "Data", "name of a corpus, or path of a text file or a folder of text files")
    tokenizer: str = setting(
        "char",
        "Data",
        "char, bpe, gpt1; of a BERT wordpiece; of a translator bpe, unigram, wordpiece (trained on the corpus); own "
        "(that of the --from model); or the path of a saved tokenizer or of GPT-2's, GPT-1's or BERT's vocabulary",
    )
    vocab: int = advanced(4096, "Data", "tokens that a tokenizer learns, but for char", low=256, formerly="bpe_vocab")
    from_: str = setting(
        "",
        "Data",
        "trained model to start from, keeping its shape: a run folder, a Hugging Face folder, or a name on their hub",
    )
    eval_tokens: int = advanced(
        20_000,
        "Run",
        "validation tokens per evaluation (the last evaluation uses all)",
        low=1,
        free=True,
        free_unless="patience",
    )
    prompt: str = advanced("", "Run", "beginning of the sample at the end; by default a line end, not shown", free=True)
    sample_tokens: int = advanced(500, "Run", "length of the sample at the end", low=0, free=True)

    def __post_init__(self):
        check_settings(self)


@dataclass(frozen=True)
class NextTokenConfig(TextConfig):
    """The text, its tokens and their order. Raises UserError for a value that is not allowed."""

    window: int | None = advanced(
        None,
        "Data",
        "tokens of a training window; by default block_size, with --from at most 1024; a Transformer-XL: of a segment",
        low=1,
    )
    batches: str = advanced(
        "random", "Data", "windows at random places, or side by side, each once an epoch", choices=tuple(ORDERS)
    )


class NextToken(Task):
    """Prediction of the next token of a text.

    tokens      the text
    window      T, tokens that the model reads at once
    batch_size  windows that go through the model at once; a step has `accumulate` times as many
    seed        decides the windows of each step, and the sample

    Raises UserError for texts shorter than a window, and for a prompt that the tokenizer cannot encode.
    """

    name = "next-token"
    left_to_right = 0

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
        self.check_lengths()
        self.prompt = encode_prompt(tokenizer, config.prompt, fallback=int(tokens.val[0]))

    def check_lengths(self) -> None:
        check_length(self.tokens.train, self.window, "training text")
        check_length(self.tokens.val, self.window, "validation text")

    def batch(self, step):
        return ORDERS[self.config.batches](self.tokens.train, self.rows, self.window, self.seed, step)

    def loss(self, model, x, y) -> Loss:
        return Loss(loss_of(model, x, y))

    def evaluate(self, model, last: bool = False, progress: Progress = no_progress) -> dict[str, float]:
        limit = None if last else self.config.eval_tokens
        score = evaluate(model, self.tokens.val, self.batch_size, limit, self.window, progress)
        return {"val_loss": score.loss}

    def sample(self, model) -> Iterator[str]:
        if self.config.sample_tokens:
            yield self.config.prompt
            yield from stream_text(model, self.tokenizer, self.prompt, self.config.sample_tokens, seed=self.seed)

    def probe(self):
        """x and y (B, T) from windows spread evenly over the validation text."""
        length = min(self.window, PROBE_LENGTH)
        return next(sequential_batches(self.tokens.val, -(-PROBE_TOKENS // length), length, limit=1))

    def answers(self, model, x, y):
        return logits_of(model, x), y

    def data(self):
        return f"{len(self.tokens.train):,} tokens of {self.config.corpus} ({len(self.tokens.val):,} to validate)"

    def settings(self):
        return dataclasses.asdict(self.config)

    def facts(self, model):
        return {"choices": model.config.vocab_size} | text_facts(self.tokens.train)
