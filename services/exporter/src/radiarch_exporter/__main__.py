"""Run one exporter: ``python -m radiarch_exporter``."""

from radiarch_exporter.app import stage

if __name__ == "__main__":
    stage.main()
