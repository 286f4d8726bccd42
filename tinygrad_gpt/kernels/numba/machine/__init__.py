"""What every kernel is made with: compiling, threads, layouts, random bits, exp."""
