"""Run one importer: ``python -m radiarch_importer``."""

from radiarch_importer.app import stage

if __name__ == "__main__":
    stage.main()
