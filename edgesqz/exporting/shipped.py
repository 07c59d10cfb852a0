"""Quantized files that ship with edgesqz, used if the images for calibration are not available."""

from __future__ import annotations

from dataclasses import dataclass

from edgesqz.artifact import KERAS_SUFFIX, ZOO, Artifact, Manifest, Verification, sha256
from edgesqz.exporting.precision import Keep
from edgesqz.exporting.samples import ExportData
from edgesqz.exporting.source import Source


@dataclass(frozen=True)
class Shipped:
    """A file that ships with edgesqz.

    Attributes:
        content: The bytes of the file.
        manifest: The manifest of the file.
        verification: The result of verification on the machine that exported the file.
    """

    content: bytes
    manifest: Manifest
    verification: Verification

    def describe(self, file_name: str) -> str:
        """Explain in a sentence why this file is used, and how well it agreed with its source model."""
        calibration, found = self.manifest.calibration, self.verification
        assert calibration  # ``find`` returns calibrated files only
        return (
            f"{file_name}: {calibration.dataset} is not available for calibration, so this is the file that ships with "
            f"edgesqz, calibrated on {calibration.count} training images; when it was exported, it agreed with the "
            f"source model on {found.agreement:.1%} of {found.images.describe()}"
        )


def find(file_name: str, source: Source, images: ExportData, calibration_images: int) -> Shipped | None:
    """Return the shipped file if it equals what an export would write and the calibration images are not available.

    Args:
        file_name: The name of the file to export.
        source: The source model.
        images: The images for calibration.
        calibration_images: Number of images to calibrate on.
    """
    if not (ZOO / file_name).is_file() or images.available:
        return None
    artifact = Artifact.open(ZOO / file_name)
    manifest = artifact.manifest
    if manifest is None or manifest.calibration is None or manifest.verification is None:
        return None
    made = (manifest.source_sha256, manifest.calibration.dataset, manifest.calibration.count)
    if made != (source.sha256, images.dataset, calibration_images):
        return None
    return Shipped(artifact.path.read_bytes(), manifest, manifest.verification)


def fine_tuned(file_name: str, source_sha256: str | None) -> Artifact | None:
    """Return the zoo's file of this name if it was fine-tuned for its variant, unlike any export of its source.

    Args:
        file_name: The name of the file.
        source_sha256: SHA-256 of the zoo's .keras file of the same name.
    """
    model = ZOO / f"{file_name.split('.')[0]}{KERAS_SUFFIX}"
    if not (ZOO / file_name).is_file() or not model.is_file() or sha256(model.read_bytes()) != source_sha256:
        return None
    found = Artifact.open(ZOO / file_name)
    return found if found.manifest and found.manifest.source_sha256 != source_sha256 else None


def better_file(file_name: str, source_sha256: str | None, keep: Keep) -> str:
    """Say that the zoo has a more accurate file of this name, and how to use it. Empty if it has none.

    Args:
        file_name: The name of the file to export.
        source_sha256: SHA-256 of the source model.
        keep: Layers to protect. The zoo's files protect none.
    """
    if keep or not fine_tuned(file_name, source_sha256):
        return ""
    return (
        f"{file_name}: the zoo's file of this name is fine-tuned, and thus more accurate; unless the workspace has a "
        f"file of this name, edgesqz bench {file_name} finds it"
    )
