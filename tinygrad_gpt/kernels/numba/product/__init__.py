"""Matrix products, of linear layers and others. ladder.py explains them: seven products, each faster than the last.

packed.py, tile.py, registers.py       the product of linear layers, from its tiles down to vector instructions
blas_tiles.py, blas.py                 the same where there is no AVX-512: NumPy's BLAS, tile by tile
bfloat16.py                            the product of bfloat16 numbers
bfloat16_registers.py, bfloat16_tiles.py    its innermost steps: in vectors, and on processors that multiply tiles
few_rows.py                            the product of a few rows with a weight, for generating
"""
