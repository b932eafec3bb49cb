"""PyTorch without a compiler: its tape, and its functions under NumPy's names."""

from benchmarks.timing import Run, repeated


class Namespace:
    """The functions of NumPy that the programs use, by PyTorch."""

    def __init__(self):
        import torch

        self.sin, self.cos, self.exp, self.log = torch.sin, torch.cos, torch.exp, torch.log
        self.tanh, self.sum = torch.tanh, torch.sum

    def max(self, x, axis=(), keepdims=False):
        return x.amax(axis, keepdims)

    def maximum(self, x, least):
        return x.clamp(min=least)


def gradient_run(loss, args, wanted, value: bool = False) -> Run:
    """The run of a gradient by the arguments of these numbers, after the value if asked for.

    `loss` takes the namespace, then the arguments.
    """
    import torch

    args = [torch.tensor(x) for x in args]
    chosen = [args[k].requires_grad_() for k in wanted]
    namespace = Namespace()

    def gradient():
        result = loss(namespace, *args)
        slopes = torch.autograd.grad(result, chosen)
        return (result.detach(), *slopes) if value else slopes

    return repeated(gradient)
