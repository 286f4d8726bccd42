"""Files: written whole or not at all.

storage.py      the folders for data and caches; reading a file, replacing one atomically
json_files.py   JSON, read within limits and checked against a schema
tensor_file.py  named arrays in the safetensors format
locks.py        whether another process has a file in use
plots.py        plots as PNG files, and in notebooks
notebook.py     a notebook, from a script with cells
"""
