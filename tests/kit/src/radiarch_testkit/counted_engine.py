"""MCsquare, and each start of one of its processes written down by the process itself."""

import shlex
from pathlib import Path

from radiarch_common.settings import Settings
from radiarch_planner.engines.build import prepare_build
from radiarch_planner.engines.cost import EngineCost


class CountedEngine:
    """An engine binary that notes where it was started and becomes the real one.

    ``cost`` spares its self-test, which the real one passes elsewhere.
    """

    cost = EngineCost(start_s=0.2, proton_s=2e-6, proton_mm_s=2e-7, spot_s=1e-3, spot_voxel_s=5e-9)

    def __init__(self, folder: Path) -> None:
        self._engines = folder / "engines"
        self._binary = folder / "MCsquare_counted"
        self._starts = folder / "starts"
        self._starts.touch()
        real = prepare_build(Settings(engine_folder=self._engines)).binary
        note, engine = shlex.quote(str(self._starts)), shlex.quote(str(real))
        self._binary.write_text(f'#!/bin/sh\necho "$PWD" >> {note}\nexec {engine} "$@"\n')
        self._binary.chmod(0o755)

    def used_by(self, settings: Settings) -> Settings:
        """The same settings with this engine, made ready in a folder of its own."""
        return settings.model_copy(update={"engine_folder": self._engines, "mcsquare_binary": self._binary})

    def started(self) -> list[str]:
        """Pieces that a process was started for since this was last asked, sorted, such as ``beam-1/block-0``."""
        folders = self._starts.read_text().splitlines()
        self._starts.write_text("")
        return sorted("/".join(Path(folder).parts[-2:]) for folder in folders)
