"""The parts of tests/ops."""
