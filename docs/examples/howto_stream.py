"""Check a stream of orders; some are wrong, one is urgent, one comes too late."""

import outcome
import trio

import runtime


def check_order(order: str) -> int:
    """Return the order's amount; CPU-bound in real life."""
    _name, amount = order.split(":")
    return int(amount)


async def main() -> None:
    config = runtime.ParallelConfig(batch_size=4, max_pending_tasks=100)
    async with runtime.ParallelProcessor(check_order, config) as processor:
        # A stream: outcomes in input order, errors in their places.
        async with processor.process(["ink:3", "pen", "map:7"]) as responses:
            async for response in responses:
                match response:
                    case outcome.Value(amount):
                        print("amount", amount)
                    case outcome.Error(error):
                        print("wrong order:", error)

        # One request, ahead of others.
        urgent = runtime.Priority.HIGH
        print("urgent", await processor.execute("gem:9", priority=urgent))

        # A request that may not begin after its deadline.
        try:
            await processor.execute("oil:1", deadline=trio.current_time() - 1)
        except runtime.TaskCancelled as late:
            print("too late:", late.reason)

        numbers = processor.statistics()
        print(numbers.processed, "processed,", numbers.failed, "failed,", end=" ")
        print(numbers.withdrawn, "withdrawn")


if __name__ == "__main__":
    trio.run(main)
