"""What every Radiarch stage shares: the contract, the stage runtime and the ways out."""
