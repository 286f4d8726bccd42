"""The families of models that can be fine-tuned, by name: that of config.json, and of a TrainedModel's kind."""

from tinygrad_gpt.tasks.bert_family import BertFamily
from tinygrad_gpt.tasks.family import Family
from tinygrad_gpt.tasks.gpt1_family import GPT1Family

FAMILIES: dict[str, type[Family]] = {family.name: family for family in (GPT1Family, BertFamily)}
