"""What tests share: our interfaces in memory, receivers on loopback. Real where it can be, honest where not."""
