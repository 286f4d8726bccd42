"""Training, from a preset to a run folder.

    settings = resolve("quick", {"corpus": "shakespeare"})   # text_settings.py: what to train, and how
    run = start(settings, out=None)                          # text_run.py: corpus, tokenizer, model, run folder
    run.train(reporter)                                      # run.py: to its end, or until Ctrl-C

A run of any task:

    trainer.py        the training loop
    config.py         the settings of the loop, one field each
    run.py            a run is started or resumed
    run_folder.py     the folder of a run, and what config.json says
    checkpoint.py     checkpoint.safetensors: weights, optimiser, random numbers
    metrics.py        metrics.jsonl and loss.png
    reporter.py       what a run prints: a live bar, or plain lines
    interrupt.py      Ctrl-C: the first one asks, the second one insists
    non_finite.py     finds the op that made the first number that is not finite
    room.py           refuses a model for which there is not enough memory
    user_ops.py       the user's own pairs, from `--with` files
    places.py         finds the text or model again that a run was made from
    trained_model.py  a trained model by its place: a run folder, a Hugging Face folder, a name on the hub

Language models and classifiers:

    presets.py        whole recipes by name
    text_settings.py  the settings of a language model's run, from a preset or from config.json
    text_run.py       a language model's run on a text, from its settings or its folder
    finetune.py       fine-tuning a classifier: several runs side by side
    classifier.py     a fine-tuned classifier, in use

A run folder holds all there is to know about a run, and is all that `sample`, `eval` and `--resume` read:

    config.json             every setting, and what the run was made from
    tokenizer.json
    metrics.jsonl           one row per log interval, with what the health check saw and found
    loss.png                the losses, drawn
    doctor.png              what the health check saw, drawn by `tinygrad-gpt doctor`
    checkpoint.safetensors  the latest state
    sample.txt              what the model writes at the end
"""
