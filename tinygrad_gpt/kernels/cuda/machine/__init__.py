"""What every kernel is made with: compiling, layouts, cuBLAS, recording, sums; and headers that sources include."""
