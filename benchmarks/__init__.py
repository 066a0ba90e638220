"""What Fujie costs, beside its peers: ``python -m benchmarks``. How it is measured stands in ``docs/figures.md``."""
