"""What every kernel is made with.

compile.py, parallel.py, sharing.py             a kernel: compiled, run by all threads, which share its work
pool.py, threads.py, cores.py                   those threads, and how many
disk_cache.py, precompile.py, make_kernels.py   machine code on disk, and processes that fill it
layout.py, many.py                              arrays as kernels expect them; many arrays at once
elementwise.py                                  the loops of ops that are a formula of each element
vector_math.py, normal.py, random.py            exp, tanh, the normal distribution, random bits, inside kernels
"""
