"""What the rows of a volume's batches depend on, as its configuration says."""

from __future__ import annotations

from collector.config_sections import Config, VolumeConfig
from collector.intake.layout import Layout
from collector.model import BatchSettings, Redaction


def batch_settings(config: Config, volume: VolumeConfig, layout: Layout) -> BatchSettings:
    """What the rows of the volume's batches depend on. Raw objects hold what the files do."""
    return BatchSettings(
        layout=volume.layout,
        format=config.format,
        compression=config.compression,
        max_line_bytes=volume.max_line_bytes,
        line_format="plain" if config.format == "raw" else layout.line_format,
        multiline=volume.multiline.start if volume.multiline else None,
        redact=tuple(Redaction(each.pattern, each.replacement) for each in volume.redact),
        parse=volume.parse.settings() if volume.parse else None,
    )
