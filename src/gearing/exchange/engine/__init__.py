"""How the kernel is compiled and run over batches of accounts."""
