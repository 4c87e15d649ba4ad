"""A provider for work done by hand: a person issues, delivers and collects, and says so."""
