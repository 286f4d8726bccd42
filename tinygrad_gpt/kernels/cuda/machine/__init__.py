"""What every kernel is made with, and headers that sources include.

source.py           compiles a NAME.cu for a dtype, and calls its kernels
layout.py           brings arrays into the layout that kernels expect; reasons to leave them to the reference
many.py             one launch for many arrays
sum_rows.py         sums over rows, always added in the same order
cublas.py           matrix products by cuBLAS
cublas_recorded.py  cuBLAS while a graph is recorded
record.py           a training step, recorded once and repeated by the GPU alone
"""
