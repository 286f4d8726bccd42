"""CUDA's errors, as CuPy raises them."""

NAMES = {
    1: ("cudaErrorInvalidValue", "invalid argument"),
    2: ("cudaErrorMemoryAllocation", "out of memory"),
    9: ("cudaErrorInvalidConfiguration", "invalid configuration argument"),
    35: ("cudaErrorInsufficientDriver", "CUDA driver version is insufficient for CUDA runtime version"),
    100: ("cudaErrorNoDevice", "no CUDA-capable device is detected"),
    101: ("cudaErrorInvalidDevice", "invalid device ordinal"),
    400: ("cudaErrorInvalidResourceHandle", "invalid resource handle"),
    401: ("cudaErrorIllegalState", "the operation cannot be performed in the present state"),
    700: ("cudaErrorIllegalAddress", "an illegal memory access was encountered"),
    701: ("cudaErrorLaunchOutOfResources", "too many resources requested for launch"),
    900: ("cudaErrorStreamCaptureUnsupported", "operation not permitted when stream is capturing"),
    901: ("cudaErrorStreamCaptureInvalidated", "operation failed due to a previous error during capture"),
    906: ("cudaErrorStreamCaptureImplicit", "operation would make the legacy stream depend on a capturing stream"),
}


class CUDARuntimeError(RuntimeError):
    """`status` is CUDA's number. The emulation adds what it was about."""

    __module__ = "cupy_backends.cuda.api.runtime"

    def __init__(self, status: int, about: str = ""):
        self.status = status
        name, text = NAMES.get(status, (f"cudaError {status}", "?"))
        super().__init__(f"{name}: {text}" + (f" ({about})" if about else ""))


class CUDADriverError(RuntimeError):
    """What launching a kernel raises."""

    __module__ = "cupy_backends.cuda.api.driver"

    def __init__(self, name: str, about: str = ""):
        super().__init__(f"{name}: {about}")


class CompileException(Exception):  # noqa: N818
    """A source that does not compile."""

    __module__ = "cupy.cuda.compiler"
