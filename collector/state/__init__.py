"""What survives a restart: checkpoints, receipts, locks."""
