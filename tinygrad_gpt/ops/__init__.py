"""The textbook: one file per operation, each with the derivation and the plain array version of its pair.

The contract that every version of an op keeps (the reference here, the kernels, a learner's own):

    forward(*arrays, **settings) -> (y, saved)
    backward(dy, saved)          -> a tuple, one gradient per array that forward took; None where there is none

- `arrays` are NumPy or CuPy arrays (or None where the op allows it), `settings` are plain Python values.
- `saved` is what backward needs, named, and no more: here a NamedTuple called Saved. Backward takes everything from it,
  so that any number of forwards may run before the backwards.
- `dy` is the gradient of the loss with respect to y: same shape and dtype as y. Backward multiplies it in; it must not
  assume ones. An op that returns a tuple of outputs gets a tuple of gradients.
- Neither function changes its inputs. A gradient is `dy` itself, a view of it, or a new array. It is never a saved one,
  unless `saved` alone still holds that array (memory.nobody_else_holds): then backward may use its memory.
- Gradients have the shape and dtype of their inputs: what forward broadcast, backward sums. If few rows of a table were
  used, its gradient may be a sparse_rows.SparseRows.

`check(*arrays, **settings)`, where a file has it, raises for inputs that no version can take. It runs before any
version is chosen, so that versions need not repeat it.

An op that does the work of several, as attention does that of softmax, lists them in PARTS: where the user chose a
version of one of them, functional/fused.py runs them in its place.

Several ops share _shapes.py (broadcasting, axes, errors about shapes) and _erf.py (the error function).
"""
