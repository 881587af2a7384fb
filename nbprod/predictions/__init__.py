"""The prediction log: what was asked, what was answered, by which version, and what turned out to be true."""
