"""The health check: finds out from a run's numbers what goes wrong in it.

    snapshot.py     a snapshot of the model: gradients by block, its commonest prediction, units that never change
    history.py      the input of the rules: rows of metrics, and the plan of the run
    loss_rules.py   rules about the curve of the loss
    model_rules.py  rules about the snapshots
    score_rules.py  rules about the scores of evaluations: BERT's illnesses
    translation_rules.py  rules about a translator's illnesses
    checkup.py      applies all rules to a run, running or finished: each symptom once
    watch.py        the health check inside the trainer
    explain.py      explains each symptom, for `tinygrad-gpt doctor`
    plot.py         doctor.png, and the losses in loss.png

A rule is a plain function from numbers to a Symptom or None. A rule must rather miss a problem than invent one: people
stop reading a check that has cried wolf once.
"""
