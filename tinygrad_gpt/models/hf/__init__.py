"""Read and write the files of Hugging Face transformers.

pretrained.py   a model from a folder, a folder from a model
fill.py         the tensors of a folder, put into a model
layout.py       the names of settings and tensors, and how the tensors lie
gpt_layout.py   ... of GPT-1 and GPT-2
bert_layout.py  ... of BERT, with any head
marian_layout.py  ... of the Transformer that translates
transfo_xl_layout.py  ... of Transformer-XL
xlnet_layout.py  ... of XLNet, with any head
folder.py       the files of a folder
sentences.py    what sentence-transformers writes beside a BERT
hub.py          the folder of a name on the Hugging Face hub
"""
