"""Training, from a preset to a run folder.

    settings = resolve("quick", {"corpus": "shakespeare"})   # text_settings.py: what to train, and how
    run = start(settings, out=None)                          # text_run.py: corpus, tokenizer, model, run folder
    run.train(reporter)                                      # run.py: to the end, or until Ctrl-C

A run of any task:

    trainer.py        the training loop
    config.py         the settings of the loop, one field each
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
    places.py         finds again the text or the model that a run was made from
    trained_model.py  a trained model by its place: a run folder, a Hugging Face folder, a name on the hub

Language models and classifiers:

    presets.py        whole recipes by name
    text_settings.py  the settings of a language model's run, from a preset or from config.json
    text_run.py       a language model's run on a text, from its settings or its folder
    finetune.py       fine-tuning a classifier: several runs side by side
    classifier.py     a fine-tuned classifier, in use

A run folder holds everything about a run. `sample`, `eval` and `--resume` need nothing else.
"""
