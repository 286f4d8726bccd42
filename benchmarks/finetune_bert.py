"""How well, and how fast, is a BERT fine-tuned here and with Hugging Face transformers?

    python benchmarks/finetune_bert.py --model MINILM                           # three seeds of four tasks; hours
    python benchmarks/finetune_bert.py --model MINILM --examples 1500 --epochs 2     # the same in less time
    python benchmarks/finetune_bert.py --model MINILM --task stsb --examples 200 --epochs 1 --seeds 1
    python benchmarks/finetune_bert.py --own runs/bert-small --task sst2-sentences   # beside random weights
    python benchmarks/finetune_bert.py --own runs/xlnet-small --task sst2-sentences --lr 5e-4     # an XLNet, too

MINILM is a Hugging Face folder of an encoder, such as that of all-MiniLM-L6-v2. Both sides read the same arrays in the
same order, which follow from the seed, begin with the same weights, those of the new head included, and have the same
learning rate at each step, dropout, AdamW with decay of matrices alone, and limit of the gradient's norm. Each draws
its dropout from random numbers of its own, so that scores agree within the spread over seeds, not to the digit. Before
anything is trained, both must give the same scores for the first batch, to 1e-4.

transformers' side is a loop in PyTorch that steps as its Trainer does. The test examples are scored once, at the end.
The seconds are those of the steps alone. Each side lives in a process of its own (harness.py), and they run in turns.
After each task the table of all tasks so far is written, so that a run that was stopped leaves what it has measured.

With --own, ours alone: a BERT or an XLNet that we pre-trained, and the same shape from random weights.
"""

import argparse
import contextlib
import dataclasses
import math
import statistics
import sys
import time
from pathlib import Path
from typing import Any

import harness
import numpy as np
import reporting

OURS, THEIRS, PRETRAINED, RANDOM = "tinygrad_gpt", "transformers", "pre-trained", "random weights"
TASKS = {"sst2-sentences": 96, "stsb": 128, "wnut17": 128, "cola": 64}  # -> tokens of an example at most
OTHER_LENGTH = 128
TOLERANCE = 1e-4  # of a score, before the first step


# --- what both sides share: the examples, their order, the first weights, the schedule ----------------------------


class Setting:
    """A task with its settings, and the model to begin with. `request` is what `main` asks a side for."""

    def __init__(self, request: dict[str, Any]):
        from tinygrad_gpt.data.labelled import open_task
        from tinygrad_gpt.settings import made_from
        from tinygrad_gpt.tasks.families import FAMILIES
        from tinygrad_gpt.tasks.fine_tuning import FineTuneConfig
        from tinygrad_gpt.tasks.kinds import TASK_OF_KIND
        from tinygrad_gpt.train.config import TrainConfig, use_arithmetic
        from tinygrad_gpt.train.fine_tuning.finetune import find_source, planned

        self.source = find_source(request["model"])
        data = open_task(request["task"])
        data = dataclasses.replace(data, train=some_of(data.train, request["examples"], request["seed"]))
        family = FAMILIES[self.source.kind]
        values = family.defaults | {name: value for name, value in request.items() if value is not None}
        self.config = made_from(FineTuneConfig, values)
        longest = self.config.max_length
        self.family = family(self.source.tokenizer(), self.source.config, self.config.head_dropout, longest)
        kind, rows = TASK_OF_KIND[data.kind], values["batch_size"]
        self.task = kind(self.config, data, self.family, rows, values["seed"])
        tested = dataclasses.replace(data, dev=data.test) if data.test is not None else None
        self.test = tested and kind(self.config, tested, self.family, rows, values["seed"])
        self.train = made_from(TrainConfig, planned(self.task, values))
        use_arithmetic(self.train)

    def new_model(self):
        """Ours, before its first step."""
        kind, outputs, seed = self.task.labelled.kind, self.task.outputs, self.task.seed
        return self.family.first_model(self.family.body(self.source, seed), kind, outputs, self.config.pretrained, seed)

    def results(self, scores_of, seconds: float, losses: list[float]) -> dict[str, Any]:
        """What a side answers. `scores_of`: a list of sequences -> the scores of each."""
        found = {"dev": self.task.measure(scores_of(self.task.dev_sequences))}
        if self.test:
            found["test"] = self.test.measure(scores_of(self.test.dev_sequences))
        found["family"] = self.family.name
        return found | {"seconds": seconds, "first_loss": losses[0], "last_loss": losses[-1], "steps": len(losses)}


def some_of(examples, count: int | None, seed: int):
    """`count` of the examples, drawn at random; all if it is None."""
    if count is None or count >= len(examples):
        return examples
    which = np.random.default_rng(seed).permutation(len(examples))[:count]
    fields = {f.name: getattr(examples, f.name) for f in dataclasses.fields(examples)}
    return type(examples)(
        **{name: a[which] if isinstance(a, np.ndarray) else [a[i] for i in which] for name, a in fields.items()}
    )


# --- our side ----------------------------------------------------------------------------------------------------


def ours_first(**request) -> list:
    """The scores of the first batch, in evaluation mode."""
    setting = Setting(request)
    scores = setting.family.scores(setting.new_model().eval(), *setting.task.batch(0)[: setting.family.inputs])
    return scores.numpy().tolist()


def ours_run(**request) -> dict[str, Any]:
    from tinygrad_gpt.tasks.fine_tuning import scores_of
    from tinygrad_gpt.train.trainer import Trainer

    setting = Setting(request)
    trainer = Trainer(setting.train, setting.new_model(), setting.task)
    trainer.model.train()
    began, losses = time.perf_counter(), []
    for _ in range(setting.train.steps):
        losses.append(trainer.train_step()[0]["train_loss"])
    seconds = time.perf_counter() - began
    return setting.results(lambda sequences: scores_of(setting.family, trainer.model, sequences), seconds, losses)


# --- their side --------------------------------------------------------------------------------------------------


class Theirs:
    """A model of transformers with the weights of our first one."""

    def __init__(self, setting: Setting):
        import torch
        import transformers

        from tinygrad_gpt.data.examples import SPANS, TOKENS

        task, config = setting.task, setting.config
        self.setting, self.kind = setting, task.labelled.kind
        heads = {SPANS: "BertForQuestionAnswering", TOKENS: "BertForTokenClassification"}
        head = getattr(transformers, heads.get(self.kind, "BertForSequenceClassification"))
        more = {} if self.kind == SPANS else {"num_labels": task.outputs}
        dropout = setting.family.shape.classifier_dropout
        self.model = head.from_pretrained(setting.source.name, classifier_dropout=dropout, **more)
        if not config.pretrained:
            raise SystemExit("transformers' side begins with the weights of the folder")
        ours = setting.new_model()
        mine, other = (
            (ours.qa_outputs, self.model.qa_outputs) if self.kind == SPANS else (ours.classifier, self.model.classifier)
        )
        with torch.no_grad():
            for name in ("weight", "bias"):
                getattr(other, name).copy_(torch.from_numpy(getattr(mine, name).numpy().copy()))

    def __call__(self, inputs, targets=()):
        import torch

        from tinygrad_gpt.data.examples import SPANS

        names = ("input_ids", "attention_mask", "token_type_ids")
        given = {name: torch.from_numpy(np.asarray(a)) for name, a in zip(names, inputs, strict=True)}
        names = ("start_positions", "end_positions") if self.kind == SPANS else ("labels",)
        for name, a in zip(names, targets, strict=False):  # of words, how many there are in a row follows
            given[name] = torch.from_numpy(np.asarray(a, np.float32 if a.dtype.kind == "f" else np.int64))
        return self.model(**given)

    def scores(self, *inputs) -> np.ndarray:
        import torch

        with torch.inference_mode():
            out = self(inputs)
            if hasattr(out, "start_logits"):
                return torch.stack([out.start_logits, out.end_logits], 2).numpy()
            return out.logits.numpy()

    def all_scores(self, sequences: list) -> list[np.ndarray]:
        from tinygrad_gpt.tasks.fine_tuning import by_length

        self.model.eval()
        return by_length(self.setting.family, self.scores, sequences)

    def optimizer(self):
        """AdamW as transformers' Trainer makes it: no decay of biases and of the parameters of layer norms."""
        import torch

        train = self.setting.train
        plain = [n for n, _ in self.model.named_parameters() if n.endswith("bias") or "LayerNorm" in n]
        groups = [
            {
                "params": [p for n, p in self.model.named_parameters() if n not in plain],
                "weight_decay": train.weight_decay,
            },
            {"params": [p for n, p in self.model.named_parameters() if n in plain], "weight_decay": 0.0},
        ]
        return torch.optim.AdamW(groups, lr=train.lr, betas=(train.beta1, train.beta2), eps=train.eps, fused=True)


def theirs_first(**request) -> list:
    setting = Setting(request)
    theirs = Theirs(setting)
    theirs.model.eval()
    return theirs.scores(*setting.task.batch(0)[: setting.family.inputs]).tolist()


def theirs_run(**request) -> dict[str, Any]:
    import torch

    from tinygrad_gpt.train.trainer import learning_rate

    setting = Setting(request)
    theirs, n = Theirs(setting), setting.family.inputs
    torch.manual_seed(setting.task.seed)
    optimizer, model = theirs.optimizer(), theirs.model.train()
    began, losses = time.perf_counter(), []
    for step in range(setting.train.steps):
        arrays = setting.task.batch(step)
        for group in optimizer.param_groups:
            group["lr"] = learning_rate(step, setting.train)
        optimizer.zero_grad()
        loss = theirs(arrays[:n], arrays[n:]).loss
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), setting.train.grad_clip)
        optimizer.step()
        losses.append(loss.item())
    seconds = time.perf_counter() - began
    return setting.results(theirs.all_scores, seconds, losses)


SIDES = {OURS: {"first": ours_first, "run": ours_run}, THEIRS: {"first": theirs_first, "run": theirs_run}}


# --- the comparison ----------------------------------------------------------------------------------------------


def validate(first: dict[str, list], task: str) -> None:
    """Raise SystemExit unless both sides gave the same scores for the first batch."""
    ours, theirs = np.array(first[OURS]), np.array(first[THEIRS])
    if ours.shape != theirs.shape or not np.allclose(ours, theirs, atol=TOLERANCE, rtol=0):
        raise SystemExit(f"{THEIRS} computes other scores than {OURS} for {task}: {first}")


def measure(request: dict[str, Any], seeds: list[int], both: bool) -> dict[str, Any]:
    """A task on two sides, with each seed: the record that goes into the JSON file."""
    sides = {OURS: request, THEIRS: request} if both else {PRETRAINED: request, RANDOM: request | {"pretrained": False}}
    record: dict[str, Any] = {"task": request["task"], "settings": request, "seeds": seeds}
    record["runs"] = {side: [] for side in sides}
    for seed in seeds:
        with contextlib.ExitStack() as closing:
            peers = {}
            for side in sides:
                peers[side] = harness.Peer(side, Path(__file__), "--side", side if both else OURS)
                closing.callback(peers[side].close)
            if both:
                validate(
                    {side: peer.ask("first", **sides[side], seed=seed) for side, peer in peers.items()}, request["task"]
                )
            for side, peer in peers.items():
                answer = peer.ask("run", **sides[side], seed=seed)
                record["runs"][side].append(answer)
                shown = ", ".join(f"{part} {name} {answer[part][name]:.4f}" for part, name in parts_of(answer))
                print(f"{request['task']}, seed {seed}, {side}: {shown}, {answer['seconds']:.0f} s", flush=True)
    return record


def parts_of(answer: dict[str, Any]) -> list[tuple[str, str]]:
    """(part of the data, score) of what a side has measured."""
    return [(part, name) for part in ("dev", "test") if part in answer for name in answer[part] if name != "val_loss"]


def table(records: list[dict[str, Any]]) -> str:
    """The records as Markdown: the mean over the seeds, and its standard deviation, of each score on each side."""
    sides = list(records[0]["runs"])
    rows = []
    for record in records:
        for part, name in parts_of(record["runs"][sides[0]][0]):
            cells = [with_spread([run[part][name] for run in record["runs"][side]], 4) for side in sides]
            rows.append([f"{record['task']}, {part}: {name}", *cells])
        seconds = [with_spread([run["seconds"] for run in record["runs"][side]], 0) for side in sides]
        rows.append([f"{record['task']}: seconds of training", *seconds])
    return harness.markdown_table(["mean of the seeds ± s.d.", *sides], rows)


def with_spread(numbers: list[float], digits: int) -> str:
    spread = f" ± {statistics.stdev(numbers):.{digits}f}" if len(numbers) > 1 else ""
    mean = statistics.fmean(numbers)
    return f"{mean:.{digits}f}{spread}" if math.isfinite(mean) else "nan"


def main() -> None:
    if sys.argv[1:2] == ["--side"]:
        harness.serve(SIDES[sys.argv[2]])
        return
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument("--model", help="Hugging Face folder of a BERT, fine-tuned on both sides")
    source.add_argument("--own", help="a BERT or an XLNet to fine-tune here, beside random weights: its run")
    parser.add_argument("--task", action="append", help=f"may be repeated (default: {' '.join(TASKS)})")
    parser.add_argument("--seeds", type=int, default=3, help="runs of each side with each task (default 3)")
    parser.add_argument("--examples", type=int, help="training examples, drawn at random (default: all)")
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--lr", type=float, default=5e-5)
    parser.add_argument("--max-length", type=int, help="tokens of an example (default: 64, 96 or 128, by the task)")
    options = harness.parse(parser)

    facts = harness.machine("numpy", "numba", "tokenizers", "torch", "transformers")
    settings = {
        "model": options.model or options.own,
        "examples": options.examples,
        "epochs": options.epochs,
        "batch_size": options.batch,
        "lr": options.lr,
    }
    facts |= {name: str(value) for name, value in settings.items() if value is not None}
    print(harness.one_line(facts))
    records = []
    for task in options.task or TASKS:
        length = options.max_length or TASKS.get(task, OTHER_LENGTH)
        request = {"task": task, **settings, "max_length": length}
        records.append(measure(request, list(range(1, options.seeds + 1)), bool(options.model)))
        (family,) = {run["family"] for runs in records[0]["runs"].values() for run in runs}
        name = f"finetune_{family}" + ("" if options.model else "_own")
        reporting.write_results(name, facts, records, table, ("task", "settings"), options.json)
    print(f"\n{table(records)}")


if __name__ == "__main__":
    main()
