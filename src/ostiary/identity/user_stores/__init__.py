"""Outside user stores and PRIMARY: one contract, one adapter each (see `contract.py`)."""
