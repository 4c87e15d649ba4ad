"""Tools for tests: simulators, fault injection, builders, the sandbox provider and a real PostgreSQL."""
