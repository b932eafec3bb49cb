"""Graph -> machine code: passes, lowering to loops, LLVM."""
