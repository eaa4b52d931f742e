"""Start the service: ``python serve.py --port 8000``; SIGTERM ends it in good order.

On SIGTERM or Ctrl-C no new connection is taken, every accepted request is answered,
and the process ends with code 0.
"""

import argparse
import os
import signal
import sys
import threading
from collections.abc import Callable
from dataclasses import replace
from functools import partial

import hypercorn.trio
import hypercorn.trio.run
import trio
from app import CONFIG, Service
from hypercorn.config import Config
from hypercorn.trio.tcp_server import TCPServer
from scoring import score

import runtime

# How much lower the priority of a worker is than that of the Trio thread.
WORKER_NICENESS = 3


def main() -> None:
    """Parse the options and serve."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--port", type=int, default=8000)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument(
        "--max-pending",
        type=int,
        default=CONFIG.max_pending_tasks,
        help="texts that may wait or be scored; more are refused with 503",
    )
    options = parser.parse_args()
    config = replace(CONFIG, max_pending_tasks=options.max_pending)
    check_address(options.host, options.port)
    trio.run(serve, options.host, options.port, config)


def check_address(host: str, port: int) -> None:
    """Exit with one line if the address cannot be listened on."""
    config = Config()
    config.bind = [f"{host}:{port}"]
    try:
        sockets = config.create_sockets()
    except OSError as error:
        sys.exit(f"cannot listen on {host}, port {port}: {os.strerror(error.errno)}")
    for each in sockets.insecure_sockets:
        each.close()


async def serve(host: str, port: int, limits: runtime.ParallelConfig) -> None:
    """Serve until a signal comes, then say what was done."""
    async with (
        runtime.open_worker_pool(name=limits.thread_name_prefix) as pool,
        runtime.ParallelProcessor(score, limits, pool=pool) as processor,
    ):
        if pool.statistics().backend == "threads":  # interpreters have no broadcast
            await pool.broadcast(give_way)
        await serve_until_signal(Service(processor), host, port)
    statistics = processor.statistics()
    print(
        f"closed: {statistics.accepted} accepted, {statistics.processed} answered, "
        f"{statistics.failed} failed, {statistics.withdrawn} withdrawn, "
        f"{statistics.refused} refused",
        flush=True,
    )


def give_way() -> None:
    """Have the system prefer other threads to the worker that calls this.

    Where all cores are busy with texts, the Trio thread then still gets one at once,
    and everything that needs no worker is answered without delay.
    """
    if sys.platform == "linux":  # elsewhere a thread has no priority of its own
        thread = threading.get_native_id()
        niceness = os.getpriority(os.PRIO_PROCESS, thread)
        os.setpriority(os.PRIO_PROCESS, thread, niceness + WORKER_NICENESS)


class Connection(TCPServer):
    """A connection whose failure ends no other.

    For a client that vanishes in the middle of its text, Hypercorn may write an answer
    while it closes the connection. The error of that would end the whole server.
    """

    async def run(self) -> None:
        """Serve the connection."""
        try:
            await super().run()
        except* trio.BusyResourceError:
            await trio.aclose_forcefully(self.stream)


hypercorn.trio.run.TCPServer = Connection


async def serve_until_signal(service: Service, host: str, port: int) -> None:
    """Take connections until a signal comes, then answer what was accepted."""
    config = Config()
    config.bind = [f"{host}:{port}"]
    config.graceful_timeout = 10.0
    config.accesslog = None
    started: Callable[..., object] = partial(
        hypercorn.trio.serve,
        service.app,
        config,
        shutdown_trigger=service.closing.wait,
        mode="asgi",
    )
    async with trio.open_nursery() as nursery:
        nursery.start_soon(close_on_signal, service)
        addresses = await nursery.start(started)
        print(f"serving on {addresses[0]}", flush=True)


async def close_on_signal(service: Service) -> None:
    """Begin to close at the first signal."""
    with trio.open_signal_receiver(signal.SIGTERM, signal.SIGINT) as signals:
        async for _ in signals:
            service.closing.set()
            return


if __name__ == "__main__":
    main()
