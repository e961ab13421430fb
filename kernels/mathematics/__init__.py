"""Vector math: recorded once, for numpy and for LLVM, with its constants."""
