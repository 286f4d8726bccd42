"""What every kernel is made with.

compile.py       how a kernel is compiled and cached
parallel.py      how all threads run a kernel
threads.py       how many threads there are, and how they share the cores with NumPy's
disk_cache.py    machine code on disk, checked before it runs
precompile.py    compiles all kernels at once, in processes of their own
make_kernels.py  the program that those processes run
layout.py        brings arrays into the layout that kernels expect; reasons to leave them to the reference
many.py          one kernel over many arrays
vector_math.py   exp and its relatives, written so that the compiler vectorises them
random.py        the bits of random_stream.random_bits, element by element
"""
