"""The benchmarks: `python -m benchmarks`, or `make bench`. What they measure is told in docs/benchmarks.md."""
