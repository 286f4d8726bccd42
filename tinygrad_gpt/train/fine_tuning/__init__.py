"""Fine-tuning on labelled examples (tasks/fine_tuning.py): several runs side by side, and the model that comes of them.

finetune.py    starts the runs, one for each seed, or goes on with them
folder.py      their folder, and what they came to
fine_tuned.py  the best model, in use
"""

from tinygrad_gpt.train.fine_tuning.fine_tuned import FineTuned

__all__ = ["FineTuned"]
