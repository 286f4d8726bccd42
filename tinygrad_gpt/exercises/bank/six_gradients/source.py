"""Six wrong gradients.

A wrong gradient often tells what is wrong with it, if one looks at how it is wrong: by a factor, by something that is
constant along a row, in some places only. Here are six, of six wrong backwards. Which mistake was made in each? Write
the ids, as texts, in place of the dots. Pencil and paper will do.

    softmax          y           0.50   0.30   0.20
                     dy          2     -1      1
                     dx should   0.55  -0.57   0.02
                     and is      0.50  -0.21   0.16

        S01  only the diagonal of the Jacobian: each y by its own x
        S02  differentiated as if it were exp alone
        S04  a mean over the row where a sum belongs

    layer_norm       x           1      2      3      6        (weight 1, bias 0)
                     xhat       -1.07  -0.53   0.00   1.60
                     dx should   0.25  -0.21  -0.13   0.10
                     and is      0.40  -0.13  -0.13  -0.13

        N01  the path through the mean is lost
        N02  the path through the variance is lost
        N09  sums over the row where its means belong

    embedding        ids         2      0      2      1        (one channel, a table of three rows)
                     dy          1      3      5      7
                     dtable should      3      7      6
                     and is             3      7      5

        M01  an id that occurs more than once gets the gradient of its last place alone
        M02  divided by how often the id occurs
        M10  id 0 is taken for padding

    cross_entropy    targets     0, padding, 2                  (dy = 1, a mean over what is not padding)
                     dlogits should  -0.25   0.13   0.13  |  0   0   0  |  0.05   0.40  -0.45
                     and is          -0.17   0.08   0.08  |  0   0   0  |  0.03   0.27  -0.30

        C01  not divided by the number of rows
        C02  divided by the number of all rows, padding too
        C07  padding gets a gradient

    dropout          dy          1      2      3      4      5        (p = 0.5)
                     dx should   0      4      6      0     10
                     and is      2      0      6      8      0

        D01  the scale 1 / (1 - p) is left out
        D03  a new mask is drawn in backward
        D04  the mask is turned round

    attention        with 4 channels, dq and dk are 2 times what they should be; with 9 channels, 3 times; dv is right

        A02  the scale is left out of dq and dk
        A03  dq and dk are scaled twice
        A21  the scale is left out of dq
"""

# BEGIN SOLUTION
# STUB: ANSWERS = {
# STUB:     "softmax": ...,
# STUB:     "layer_norm": ...,
# STUB:     "embedding": ...,
# STUB:     "cross_entropy": ...,
# STUB:     "dropout": ...,
# STUB:     "attention": ...,
# STUB: }
ANSWERS = {
    "softmax": "S01",  # dy y (1 - y)
    "layer_norm": "N02",  # should - is = -0.15, -0.08, 0, 0.23: a multiple of xhat
    "embedding": "M01",  # the 5 of the second place; the 1 of the first is lost
    "cross_entropy": "C02",  # two thirds of what it should be
    "dropout": "D03",  # the third element is kept in both masks
    "attention": "A02",  # 2 = √4, 3 = √9
}
# END SOLUTION
