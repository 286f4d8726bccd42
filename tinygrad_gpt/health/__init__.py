"""The health check: what a run's numbers say about what goes wrong in it.

    snapshot.py     a snapshot of the model: gradients by block, its commonest prediction, units that never change
    history.py      what the rules read: rows of metrics, and the plan of the run
    loss_rules.py   rules about the curve of the loss
    model_rules.py  rules about the snapshots
    checkup.py      all rules over a run, running or finished: each symptom once
    watch.py        what the trainer calls at each row of metrics
    explain.py      what `tinygrad-gpt doctor` says about each symptom, and about a healthy run
    plot.py         doctor.png

A rule is a plain function from numbers to a Symptom or None. It would rather miss an illness than invent one: people
stop reading a check that has cried wolf once.
"""
