"""LiteRT, the runtime of .tflite files, with XNNPACK's kernels where it has them."""

ENGINE = "ai-edge-litert"
REQUIREMENTS = ("ai-edge-litert>=2.1",)
SUFFIXES = (".tflite",)


def load(model_bytes, threads):
    """Load a model; raises ValueError if the bytes are none, RuntimeError for an op the engine lacks."""
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(model_content=model_bytes, num_threads=threads)
    interpreter.allocate_tensors()
    return Session(interpreter)


class Session:
    """One interpreter; models of a fixed batch are run at that batch."""

    def __init__(self, interpreter):
        self.interpreter = interpreter
        self.inputs = [_tensor(detail) for detail in interpreter.get_input_details()]
        self.outputs = [_tensor(detail) for detail in interpreter.get_output_details()]
        self.input_index = interpreter.get_input_details()[0]["index"]
        self.output_index = interpreter.get_output_details()[0]["index"]
        self.run_once = interpreter.invoke

    def set_input(self, batch):
        """The stored values that ``run_once`` works on."""
        self.interpreter.set_tensor(self.input_index, batch)

    def run(self, batch):
        """Stored input values to stored output values."""
        self.set_input(batch)
        self.run_once()
        return self.interpreter.get_tensor(self.output_index)


def _tensor(detail):
    scale, zero_point = detail["quantization"]
    quantized = scale != 0
    return {
        "shape": [int(size) for size in detail["shape"]],
        "dtype": detail["dtype"].__name__,
        "scale": scale if quantized else None,
        "zero_point": zero_point if quantized else None,
    }
