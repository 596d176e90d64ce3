"""The parts of tests/wire/run: spec tables, codec, script parser, connections, broker."""
