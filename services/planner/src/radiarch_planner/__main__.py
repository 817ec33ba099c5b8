"""Run one planner: ``python -m radiarch_planner``."""

from radiarch_planner.app import stage

if __name__ == "__main__":
    stage.main()
