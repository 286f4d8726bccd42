"""What every kernel is made with, and headers that sources include.

source.py, layout.py           a NAME.cu, compiled and called; arrays as kernels expect them
many.py, sum_rows.py           one launch for many arrays; sums over rows
cublas.py, cublas_recorded.py  matrix products by cuBLAS, and while a graph is recorded
record.py                      a training step, recorded once and repeated by the GPU alone
"""
