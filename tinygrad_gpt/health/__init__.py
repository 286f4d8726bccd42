"""The health check: what a run's numbers say about what goes wrong in it.

    text.py          what can be said of a text without a model: the loss of a guess that looks at no context
    observe.py       a look into the model: gradients by block, its commonest prediction, units that never change
    history.py       what the rules are given: rows of metrics, and the plan of the run
    loss_rules.py    rules about the curve of the loss
    model_rules.py   rules about what the looks saw
    diagnose.py      all rules, over a run as it goes on or as it went: findings, each once
    watch.py         what the trainer calls at each row of metrics
    explain.py       what `tinygrad-gpt doctor` tells of each finding, and of a healthy run
    plot.py          doctor.png

A rule is a plain function from numbers to a Finding or None. It would rather miss an illness than invent one: people
stop to read a check that cries wolf exactly once.
"""
