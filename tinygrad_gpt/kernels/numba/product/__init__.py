"""Matrix products.

packed.py              the product of linear layers, made of packed tiles
few_rows.py            the product of a few rows with a weight, for generating
tile.py                work on tiles, which lie in the cache
registers.py           vector instructions by hand: a product in registers, a square transposed in registers
blas.py                NumPy's own product, callable from inside a kernel
blas_tiles.py          the product of linear layers where packed.py is slower: BLAS's, one tile for each thread
bfloat16.py            the product of bfloat16 numbers
bfloat16_registers.py  its innermost steps
ladder.py              seven products, each faster than the one before: to read, and to measure
"""
