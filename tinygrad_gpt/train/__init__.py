"""Training, from a preset to a run folder.

    settings = resolve("quick", {"corpus": "shakespeare"})   # presets.py, config.py: what to train, and how
    run = start(settings, out=None)                          # run.py: corpus, tokenizer, model, run folder
    run.train(reporter)                                      # trainer.py: the loop

A run may go on from a trained model (source.py): settings = choose_settings(None, {"from_": "../gpt2", ...}).

A run folder holds all there is to know about a run, and is all that `sample`, `eval` and `--resume` read:

    config.json             every setting, and what the run was made from (run_folder.py)
    tokenizer.json
    metrics.jsonl           one row per log interval (metrics.py), with what the health check saw and found
    loss.png                the same, drawn
    doctor.png              what the health check looked at, drawn by `tinygrad-gpt doctor` (health/)
    checkpoint.safetensors  weights, optimiser, random numbers: the latest state (checkpoint.py)
    sample.txt              what the model writes at the end

Fine-tuning a classifier has a loop and a folder of its own: finetune.py and finetune_run.py. classifier.py uses what
came of it, scores.py says how good that is.
"""
