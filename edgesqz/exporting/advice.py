"""What to try after a file failed verification."""

from __future__ import annotations

from edgesqz.data import Batch
from edgesqz.engine import Engine
from edgesqz.engine.layer_error import grows_at, layer_sqnr_db
from edgesqz.errors import option
from edgesqz.exporting.job import Job
from edgesqz.exporting.precision import INT8_BITS
from edgesqz.exporting.samples import ExportData
from edgesqz.exporting.source import Source
from edgesqz.reading import ForeignModel
from edgesqz.tflite.operators import layer_of, operators


def advice(job: Job, source: Source, images: ExportData) -> str:
    """Return advice on what to try.

    Args:
        job: The file that failed.
        source: Its source model.
        images: The images that it was calibrated and verified on.
    """
    if not (source.untrained or images.available):
        dataset = images.dataset or "the training data"
        return f"these images are synthetic because {dataset} is not available; specify {option('data_dir')}"
    if isinstance(source, ForeignModel):
        return _advice_without_training(job)
    if not job.kind.needs_calibration:
        return f"try longer training or another {option('variant')}"
    if _is_below_int8(job):
        return f"fine-tune with train {option('init')} {source.name} {option('quantize_aware')} int4"
    float_variants = [name for name, kind in job.converter.VARIANTS.items() if not kind.needs_calibration]
    return (
        f"try more {option('calibration')} images, longer training, or {option('variant')} "
        f"{' or '.join(float_variants)}, which quantize no activations in advance"
    )


def _advice_without_training(job: Job) -> str:
    """Return advice on a model that edgesqz did not train."""
    if not job.kind.needs_calibration:
        return f"try another format of the model, or another {option('variant')}"
    if _is_below_int8(job):
        return f"try {option('variant')} int8, or {option('keep_int8')} LAYER"
    if job.kind.layer_bits is None:
        return f"try more {option('calibration')} images"
    others = [name for name, kind in job.converter.VARIANTS.items() if kind.needs_calibration and not kind.layer_bits]
    alternatives = others or [name for name, kind in job.converter.VARIANTS.items() if kind.bytes_per_parameter == 2]
    return (
        f"try more {option('calibration')} images, {option('keep_float')} LAYER, or {option('variant')} "
        f"{' or '.join(alternatives)}"
    )


def _is_below_int8(job: Job) -> bool:
    return job.kind.layer_bits is not None and job.kind.layer_bits < INT8_BITS


def origin_of_error(content: bytes, unquantized: Engine, quantized: Engine, images: Batch) -> str:
    """Return a note on the layer at which a quantized file's error starts, or an empty string if it grows gradually.

    Args:
        content: The network in float, as a .tflite file.
        unquantized: Engine that runs the network in float.
        quantized: Engine that runs the file.
        images: uint8 (N, H, W, channels), or samples.
    """
    errors = layer_sqnr_db(unquantized, quantized, images)
    # A softmax amplifies the errors of its input.
    amplified = {operator.output for operator in operators(content) if operator.kind == "SOFTMAX"}
    tensor = grows_at({name: ratio for name, ratio in errors.items() if name not in amplified})
    return (
        f"the error starts at {layer_of(content, tensor)}, with an SQNR of {errors[tensor]:.1f} dB; " if tensor else ""
    )
