"""Training: of a model on one's own arrays, and from a preset to a run folder.

    from tinygrad_gpt.train import fit, resolve, resume, start

    history = fit(model, (x, y), steps=500, val=(x_val, y_val))     # fit.py: any model, any arrays

    settings = resolve("quick", {"corpus": "shakespeare"})          # any_run.py: what to train, and how
    run = start(settings, out=None)                                 # corpus, tokenizer, model, run folder
    run.train(log=print)                                            # run.py: to the end, or until Ctrl-C
    run = resume(run.folder.path)                                   # where its checkpoint left it

A task of one's own (tasks/task.py) trains with `begin(task, model, TrainConfig(steps=500))`, and goes on with `reopen`.

A run of any task:

    fit.py            a model on arrays of one's own, in one call
    trainer.py        the training loop
    config.py         the settings of the loop, one field each
    ending.py         how a run ends: out of patience, with the mean of several weights
    run.py            starts or resumes a run
    extension.py      more steps for a run than it was started with
    run_folder.py     the folder of a run, and the content of config.json
    checkpoint.py     checkpoint.safetensors: weights, optimiser, random numbers
    metrics.py        metrics.jsonl and loss.png
    reporter.py       what a run prints: a live bar, or plain lines
    pace.py           how long it still takes
    interrupt.py      Ctrl-C: the first one asks, the second one insists
    non_finite.py     finds the op that made the first number that is not finite
    room.py           refuses a model that memory has no room for
    user_ops.py       the user's own pairs, from `--with` files
    run_list.py       the runs in a folder, their states and results
    sweep.py          a run for each combination of a few settings' values
    compare.py        several runs side by side: what differs, and their curves
    own_model.py      the user's own model, from a `--model` file
    user_files.py     Python files of the user's, as modules
    places.py         finds again the text or the model that a run was made from
    loading.py        tinygrad_gpt.load and tinygrad_gpt.save
    trained_model.py  a trained model by its place: a run folder, a Hugging Face folder, a name on the hub
    loadable.py       what all trained models have
    saved_runs.py     those of runs of `train`

Language models, BERTs, XLNets, translators, and what is fine-tuned from them:

    presets.py        whole recipes by name
    any_run.py        starts or resumes a run of any kind that has presets
    kind_of_run.py    what these kinds do in their own way
    text_settings.py  the settings of a language model's run, from a preset or from config.json
    stream_settings.py  the settings of a Transformer-XL's run
    text_run.py       a language model's run on a text
    shaped_settings.py  what the settings of the following have in common
    pretraining_settings.py  the settings of a BERT's pre-training, from a preset or from config.json
    pretraining.py    a BERT's run on documents
    permutation_settings.py  the settings of an XLNet's pre-training
    permutation_run.py  an XLNet's run on a text
    translation_settings.py  the settings of a translator's training, from a preset or from config.json
    translation_run.py  a translator's run on pairs of sentences
    fine_tuning/      fine-tuning on labelled examples, and the model that comes of it

A run folder holds everything about a run. `sample`, `eval` and `--resume` need nothing else.
"""

from tinygrad_gpt.train.any_run import resolve, resume, start
from tinygrad_gpt.train.config import TrainConfig
from tinygrad_gpt.train.fit import fit
from tinygrad_gpt.train.loading import Loaded, load, save
from tinygrad_gpt.train.own_model import OwnModel, load_own_model
from tinygrad_gpt.train.reporter import Reporter, make_reporter
from tinygrad_gpt.train.run import Run, begin, reopen
from tinygrad_gpt.train.run_folder import RunFolder
from tinygrad_gpt.train.text_settings import Settings
from tinygrad_gpt.train.trained_model import find_model, open_model
from tinygrad_gpt.train.trainer import StopTraining, Trainer

__all__ = [
    "Loaded",
    "OwnModel",
    "Reporter",
    "Run",
    "RunFolder",
    "Settings",
    "StopTraining",
    "TrainConfig",
    "Trainer",
    "begin",
    "find_model",
    "fit",
    "load",
    "load_own_model",
    "make_reporter",
    "open_model",
    "reopen",
    "resolve",
    "resume",
    "save",
    "start",
]
