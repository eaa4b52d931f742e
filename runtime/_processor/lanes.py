"""Where requests wait for a worker: three lanes that age, shared fairly.

Within a lane the producers that have something waiting take turns, request by
request, so a producer with a thousand requests does not hold up one with ten; a
producer's own requests keep their order.

Which lane is next is decided by age: a request of a lower lane counts as if it had
come `ageing` later for each lane it is below the first. The lane whose next request
came earliest, so counted, is served. Without a backlog that is a strict
priority; with one, a LOW request is overtaken only by requests that came at most twice
`ageing` after it. (Rejected: to move requests up by a timer, since it costs a timer
each; to give a lower lane every n-th turn, since then its wait has no bound in
seconds.)

Layer: processor.
"""

from collections import OrderedDict
from collections.abc import Hashable

from .._core import LANE_COUNT
from .request import ExactShare, Request

__all__ = ("Lanes",)

type _Queue = OrderedDict[Request, None]


class Lanes:
    """Requests that were accepted and not sent.

    Args:
      ageing_ns: How much later a request of the next lower lane counts.

    Thread safety: externally synchronized, by the Trio thread.
    """

    __slots__ = ("_ageing_ns", "_count", "_lanes", "size")

    def __init__(self, ageing_ns: int) -> None:
        self._ageing_ns = ageing_ns
        self._count = 0
        self.size = 0  # of all requests that wait
        # Per lane the producers in the order of their turns. Each queue is used as
        # an ordered set, and is gone when it is empty.
        self._lanes: tuple[OrderedDict[Hashable, _Queue], ...] = tuple(
            OrderedDict() for _ in range(LANE_COUNT)
        )

    def __len__(self) -> int:
        """Return how many requests wait."""
        return self._count

    def push(self, request: Request) -> None:
        """Add a request behind the others of its producer."""
        lane = self._lanes[request.lane]
        queue = lane.get(request.share)
        if queue is None:
            lane[request.share] = queue = OrderedDict()
        queue[request] = None
        request.is_queued = True
        self._count += 1
        self.size += request.size

    def remove(self, request: Request) -> None:
        """Take out a request that waits."""
        lane = self._lanes[request.lane]
        queue = lane[request.share]
        del queue[request]
        if not queue:
            del lane[request.share]
        self._taken([request])

    def next(self) -> Request | None:
        """Return the request whose turn it is, and leave it there."""
        found: Request | None = None
        found_ns = 0
        for index, lane in enumerate(self._lanes):
            if lane:
                head = next(iter(next(iter(lane.values()))))
                counted_ns = head.accepted_ns + index * self._ageing_ns
                if found is None or counted_ns < found_ns:
                    found, found_ns = head, counted_ns
        return found

    def take(self, limit: int, size_limit: float) -> list[Request]:
        """Take out the requests of the next batch; all are of one lane.

        Args:
          limit: How many, at most; at least 1.
          size_limit: The size that the batch must not exceed; a single request may.

        Returns:
          At least one request, if any wait.
        """
        first = self.next()
        if first is None:
            return []
        if type(first.share) is ExactShare:
            return self._take_exactly(first)
        lane = self._lanes[first.lane]
        taken: list[Request] = []
        size = 0
        while lane and len(taken) < limit:
            share, queue = next(iter(lane.items()))
            request = next(iter(queue))
            if taken and (request.timeout is not None or type(share) is ExactShare):
                break
            size += request.size
            if taken and size > size_limit:
                break
            del queue[request]
            taken.append(request)
            if queue:
                lane.move_to_end(share)
            else:
                del lane[share]
            if request.timeout is not None:
                break  # a batch of its own: its timeout must stop nobody else
        return self._taken(taken)

    def _take_exactly(self, first: Request) -> list[Request]:
        lane = self._lanes[first.lane]
        queue = lane[first.share]
        assert type(first.share) is ExactShare
        limit = 1 if first.timeout is not None else first.share.size
        taken = [queue.popitem(last=False)[0] for _ in range(min(limit, len(queue)))]
        if queue:
            lane.move_to_end(first.share)
        else:
            del lane[first.share]
        return self._taken(taken)

    def cost_not_above(self, lane: int) -> int:
        """Return what the requests that `take_droppable` may take hold in all."""
        return sum(
            request.cost
            for queues in self._lanes[lane:]
            for queue in queues.values()
            for request in queue
        )

    def take_droppable(self, lane: int) -> Request | None:
        """Take out what makes way for a request of the given lane.

        Returns:
          The oldest request of the least urgent lane, if that is no more urgent than
          the given one; else None.
        """
        for index in range(LANE_COUNT - 1, lane - 1, -1):
            queues = self._lanes[index].values()
            if queues:
                heads = (next(iter(queue)) for queue in queues)
                oldest = min(heads, key=_accepted_ns)
                self.remove(oldest)
                return oldest
        return None

    def requests(self) -> list[Request]:
        """Return everything that waits, and leave it there."""
        return [r for lane in self._lanes for queue in lane.values() for r in queue]

    def take_all(self) -> list[Request]:
        """Take out everything."""
        taken = self.requests()
        for lane in self._lanes:
            lane.clear()
        return self._taken(taken)

    def _taken(self, requests: list[Request]) -> list[Request]:
        self._count -= len(requests)
        for request in requests:
            request.is_queued = False
            self.size -= request.size
        return requests


def _accepted_ns(request: Request) -> int:
    return request.accepted_ns
