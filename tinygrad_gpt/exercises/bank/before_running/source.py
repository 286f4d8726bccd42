"""Say the number before you run it.

Whoever knows what a number should be sees at once when it is not. Write the answers in place of the dots, as floats;
two digits count. Then check. (No code is needed; a calculator is.)

    loss_at_start        the loss of an untrained GPT with 65 letters, in nats per letter
    loss_of_zeros        the loss of a model whose logits are all 0, with a vocabulary of 10
    double_softmax       the lowest loss that is possible where probabilities, not logits, are given to cross-entropy
                         (which takes softmax again), with 4 classes
    first_step           how far AdamW moves a weight of 0 at its first step, with lr = 0.001 and a gradient of 1000
    without_correction   the same step without bias correction, with beta1 = 0.9 and beta2 = 0.999
"""

import numpy as np  # SOLUTION

# BEGIN SOLUTION
# STUB: ANSWERS = {
# STUB:     "loss_at_start": ...,
# STUB:     "loss_of_zeros": ...,
# STUB:     "double_softmax": ...,
# STUB:     "first_step": ...,
# STUB:     "without_correction": ...,
# STUB: }
ANSWERS = {
    "loss_at_start": float(np.log(65)),  # every letter has the probability 1/65
    "loss_of_zeros": float(np.log(10)),
    "double_softmax": float(np.log(1 + 3 / np.e)),  # at best softmax sees 1, 0, 0, 0
    "first_step": 0.001 * 1000 / np.sqrt(1000**2),  # lr times the sign of the gradient
    "without_correction": 0.001 * (0.1 * 1000) / np.sqrt(0.001 * 1000**2),
}
# END SOLUTION
