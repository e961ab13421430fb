"""From source to machine code: Numba, LLVM and the cache on disk."""
