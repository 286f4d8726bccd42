"""Four broken runs.

The same small GPT was trained five times on texts of 20 different letters (ln 20 = 3.00): once as it should be, and
four times with a mistake. These are the losses on the training batches, and what each wrote after "the cat":

    step             0      10     50     100    200
    as it should be  3.03   2.48   1.36   1.17   0.96    " old old old.⏎old old old og o"
    one              2.62   1.66   0.13   0.03   0.01    "tttttttttttttttttttttttttttttt"
    two              3.02   2.57   1.82   1.73   1.55    " t⏎adt⏎adttadtttadtttadttttadt"
    three            3.00   2.95   2.61   2.59   2.56    " t t t t t t t t t t t t t t t"
    four             3.03   2.59   2.51   3.04   3.09    "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"

Which mistake was made in which? Write the ids, as texts, in place of the dots.

    A13   the mask is off by one: each place sees the letter that it has to predict
    C09   cross-entropy was given probabilities, and took softmax again
    M05   no positions
    T01   the labels are shifted twice: each place learns the letter after the next
    T02   the labels are not shifted: each place learns its own letter
    T06   gradients are not set to zero: each step goes along the sum of all so far
    T07   Adam's means are not corrected at the start
"""

# BEGIN SOLUTION
# STUB: ANSWERS = {"one": ..., "two": ..., "three": ..., "four": ...}
ANSWERS = {"one": "T02", "two": "T01", "three": "C09", "four": "T06"}
# END SOLUTION
