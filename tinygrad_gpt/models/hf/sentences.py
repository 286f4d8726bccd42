"""What sentence-transformers writes beside a BERT: how a text's vector is made, and how much of a text is read."""

from pathlib import Path

from tinygrad_gpt.arguments import shown
from tinygrad_gpt.errors import UserError
from tinygrad_gpt.files.json_files import read_json

POOLING, LENGTH = "1_Pooling/config.json", "sentence_bert_config.json"
_MODE = "pooling_mode_"
_MEAN = f"{_MODE}mean_tokens"


def sentence_length(folder: Path) -> int | None:
    """Tokens of a text, with [CLS] and [SEP], that the model in a folder was trained to compare; None if nobody says.

    Raises UserError if a text's vector should be made from the tokens' vectors in another way than by their mean.
    """
    if (folder / POOLING).is_file():
        written = read_json(folder / POOLING)
        modes = [name for name, on in written.items() if name.startswith(_MODE) and on]
        if modes != [_MEAN]:
            said = ", ".join(name.removeprefix(_MODE) for name in modes) or "none"
            raise UserError(
                f"{folder / POOLING}: the pooling is {shown(said)}; only the mean is supported, mean_tokens"
            )
    if not (folder / LENGTH).is_file():
        return None
    most = read_json(folder / LENGTH, {"max_seq_length?": (int, None)}).get("max_seq_length")
    if most is not None and most < 2:  # [CLS] and [SEP]
        raise UserError(f"{folder / LENGTH}: max_seq_length should be at least 2, not {shown(most)}")
    return most
