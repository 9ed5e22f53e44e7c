"""The house rules, as tests: layers, citations, documentation, tidy modules, silent logs."""
