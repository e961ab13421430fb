"""The LLVM IR of the executor: its walk over the rows, its threads, loops, and rows of arrays."""
