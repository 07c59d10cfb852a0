"""The files that an export writes, each in one variant of one format."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

from edgesqz import plugins
from edgesqz.errors import EdgesqzError, option
from edgesqz.exporting.plan import Export
from edgesqz.exporting.precision import INT8_BITS
from edgesqz.models.costs import FileKind
from edgesqz.plugins import FLOAT_BITS

DEFAULT_FORMAT, DEFAULT_VARIANT = "tflite", "fp32"


@dataclass(frozen=True)
class Job:
    """One file to export.

    Attributes:
        converter: The converter to the file's format.
        variant: The name of one of the converter's variants.
    """

    converter: plugins.Converter
    variant: str

    @classmethod
    def parse(cls, format_name: str, variant: str) -> Job:
        """Look up a format and one of its variants.

        Raises:
            EdgesqzError: The format or the variant is unknown. The message lists the known ones.
        """
        converter = plugins.converter(format_name)
        if variant not in converter.VARIANTS:
            known = ", ".join(converter.VARIANTS)
            raise EdgesqzError(f"unknown variant {variant!r} for {format_name}; choose from {known}")
        return cls(converter, variant)

    @property
    def kind(self) -> plugins.Variant:
        """The properties of the variant."""
        return self.converter.VARIANTS[self.variant]

    @property
    def file_kind(self) -> FileKind:
        """What determines the size of the file, besides the network."""
        return FileKind(self.converter.FORMAT, self.variant, self.kind.bytes_per_parameter)

    def is_layerwise(self, plan: Export) -> bool:
        """Return whether layers of the file may differ in bits, or its calibration method is not the default."""
        bits = self.kind.layer_bits
        return bits is not None and (bits < INT8_BITS or plan.changes_defaults)

    def check(self, plan: Export) -> None:
        """Check that the variant supports the plan's layer patterns and calibration method.

        Raises:
            EdgesqzError: The variant does not support them. The message lists what is possible.
        """
        keep, method = plan.keep, plan.calibration_method
        if method not in self.kind.methods:
            raise EdgesqzError(
                f"{option('calibration_method')} {method!r} does not apply to {self.converter.FORMAT} {self.variant}; "
                f"choose from {', '.join(self.kind.methods)}"
            )
        for name, patterns, most_bits in (
            ("keep_int8", keep.int8, INT8_BITS - 1),
            ("keep_float", keep.float, INT8_BITS),
        ):
            able = [
                name for name, kind in self.converter.VARIANTS.items() if (kind.layer_bits or FLOAT_BITS) <= most_bits
            ]
            if patterns and self.variant not in able:
                raise EdgesqzError(
                    f"{option(name)} does not apply to {self.converter.FORMAT} {self.variant}; it applies to "
                    f"{', '.join(able) or 'no variant of this format'}"
                )

    def file_name(self, model_name: str) -> str:
        """Return NAME.VARIANT.SUFFIX."""
        return f"{model_name}.{self.variant}{self.converter.SUFFIX}"


def requested_jobs(plan: Export) -> list[Job]:
    """Return the files that a plan requests. With ``all_variants``, the most valuable come first.

    Raises:
        EdgesqzError: A format or variant is unknown, a variant does not support the layer patterns, or a number of
            calibration images is given although no variant is calibrated.
    """
    if plan.all_variants:
        return _all_variants(plan.formats or tuple(dict.fromkeys([DEFAULT_FORMAT, *plugins.converters()])))
    formats, variants = plan.formats or (DEFAULT_FORMAT,), plan.variants or (DEFAULT_VARIANT,)
    jobs = [Job.parse(format, variant) for format in formats for variant in variants]
    for job in jobs:
        job.check(plan)
    _check_limit(jobs, plan)
    if plan.calibration is not None and not any(job.kind.needs_calibration for job in jobs):
        raise EdgesqzError(
            f"{option('calibration')} applies only to calibrated variants such as int8, got {', '.join(variants)}; "
            f"add {option('quantize')} or remove {option('calibration')}"
        )
    return jobs


def _check_limit(jobs: Sequence[Job], plan: Export) -> None:
    """Check that variant mixed has exactly one limit, and that no limit is set without it."""
    limits = f"{option('max_size')} or {option('max_accuracy_drop')}"
    needs = any(job.kind.needs_limit for job in jobs)
    if needs and (plan.max_size is None) == (plan.max_accuracy_drop is None):
        raise EdgesqzError(f"variant mixed needs either {limits}")
    if plan.limit and not needs:
        raise EdgesqzError(
            f"{limits} chooses the layers of variant mixed; add {option('variant')} mixed, or check files with bench"
        )


def available_jobs(converter: plugins.Converter) -> list[Job]:
    """Return the files of every variant of a format that needs no limit."""
    return [Job(converter, variant) for variant, kind in converter.VARIANTS.items() if not kind.needs_limit]


def _all_variants(formats: tuple[str, ...]) -> list[Job]:
    ranked = [available_jobs(plugins.converter(format)) for format in formats]
    return [job for rank in itertools.zip_longest(*ranked) for job in rank if job]
