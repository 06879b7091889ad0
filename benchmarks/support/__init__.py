"""What the benchmarks share. The benchmarks themselves are the scripts in the folder above."""
