"""By counting users: a number passes on when the last of them has (Kahn's algorithm)."""


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
    users, todo, seen = {}, [loss], {loss}
    while todo:
        for one in todo.pop().inputs:
            users[one] = users.get(one, 0) + 1
            if one not in seen:
                seen.add(one)
                todo.append(one)
    loss.grad = 1.0
    ready = [loss]
    while ready:
        value = ready.pop()
        value.pass_on()
        for one in value.inputs:
            users[one] -= 1
            if users[one] == 0:
                ready.append(one)
