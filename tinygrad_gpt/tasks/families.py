"""The families of models that can be fine-tuned, by name: that of config.json, and of a TrainedModel's kind."""

from tinygrad_gpt.tasks.bert_family import BertFamily
from tinygrad_gpt.tasks.gpt1_family import GPT1Family
from tinygrad_gpt.tasks.xlnet_family import XLNetFamily

FAMILIES: dict[str, type[GPT1Family] | type[BertFamily] | type[XLNetFamily]] = {
    "gpt": GPT1Family,
    "bert": BertFamily,
    "xlnet": XLNetFamily,
}
