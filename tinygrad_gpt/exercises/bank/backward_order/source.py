"""In which order?

Here is the number of lesson 1 that remembers what it was made from. Each can pass its gradient on to its inputs, by
`pass_on()`. Write backward(loss), which calls them in the right order, so that every number has its gradient:

    value.grad = ∂loss/∂value        for the loss, and all numbers that it was made from

A number may be used twice, and then its gradient is the sum over both uses. So it must not pass on before all who used
it have passed on to it; and once is enough.
"""


class Value:
    def __init__(self, data, inputs=()):
        self.data, self.grad, self.inputs = data, 0.0, inputs
        self.pass_on = lambda: None

    def __add__(self, other):
        y = Value(self.data + other.data, (self, other))

        def pass_on():
            self.grad += y.grad
            other.grad += y.grad

        y.pass_on = pass_on
        return y

    def __mul__(self, other):
        y = Value(self.data * other.data, (self, other))

        def pass_on():
            self.grad += other.data * y.grad
            other.grad += self.data * y.grad

        y.pass_on = pass_on
        return y


def backward(loss):
    # BEGIN SOLUTION
    order, seen = [], set()

    def visit(value):  # inputs first
        if value not in seen:
            seen.add(value)
            for one in value.inputs:
                visit(one)
            order.append(value)

    visit(loss)
    loss.grad = 1.0
    for value in reversed(order):
        value.pass_on()
    # END SOLUTION
