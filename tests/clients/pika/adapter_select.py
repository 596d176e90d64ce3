"""pika's SelectConnection."""

import callbacks
from tap import run

if __name__ == "__main__":
    callbacks.register_all(callbacks.Select)
    run()
