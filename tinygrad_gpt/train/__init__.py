"""Training, from a preset to a run folder.

    settings = resolve("quick", {"corpus": "shakespeare"})   # presets.py, config.py: what to train, and how
    run = start(settings, out=None)                          # run.py: corpus, tokenizer, model, run folder
    run.train(reporter)                                      # trainer.py: the loop

    config.py         the settings of training, one field each
    presets.py        whole recipes by name
    run.py            a run is started, or resumed
    run_folder.py     the folder of a run, and what config.json says
    places.py         the text or model that a run was made from, found again
    trained_model.py  a trained model by its place: a run folder, a Hugging Face folder, a name on the hub
    trainer.py        the training loop
    room.py           refuses a model for which there is not enough memory
    user_ops.py       the user's own pairs, from `--with` files
    checkpoint.py     checkpoint.safetensors: weights, optimiser, random numbers
    metrics.py        metrics.jsonl and loss.png
    reporter.py       what a run prints: a live bar, or plain lines
    interrupt.py      Ctrl-C: the first one asks, the second one insists
    non_finite.py     finds the op that made the first number that is not finite
    finetune.py       fine-tuning a classifier: its loop
    finetune_run.py   several fine-tunings side by side, in one folder
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
