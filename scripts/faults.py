"""The faults of "Try to break it" that messages meet. Each ends by itself, as all of the supervisor's faults do."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial

from scripts.console import QUIET, CommandError
from scripts.dlq import ALL, Selection, target_of
from scripts.infra.clouds import local_client
from scripts.infra.stack import Stack, write_atomically
from scripts.supervisor import Supervisor
from shopflow import jsontext
from shopflow.aws.calls import translated
from shopflow.aws.queues import SqsQueue, attributes_of
from shopflow.aws.wiring import Aws
from shopflow.catalog import Catalog
from shopflow.config import Config
from shopflow.errors import Unavailable

POISON = '{"eventType": "order.created", "payload": "this is no order'
TWICE, HELD_BACK, POISONED = "every event twice", "topic held back", "poison in payment"


@dataclass(frozen=True, slots=True)
class Running:
    """The stack that `make run-all` works on, its settings and ports, and the supervisor of its services."""

    config: Config
    catalog: Catalog
    stack: Stack
    env: Mapping[str, str]
    aws: Aws
    supervisor: Supervisor


class Faults:
    """Begins faults on a local AWS. Thread-safe."""

    def __init__(self, running: Running) -> None:
        self._running = running
        self._lock = threading.Lock()
        endpoint = running.config.endpoint_url or ""
        self._sqs, self._sns = (local_client(one, endpoint) for one in ("sqs", "sns"))
        self._copies = f"{running.config.stack}-every-event-twice"

    def begin(self, name: str) -> None:
        """Raises `CommandError` when there is no such fault, or when it is on already."""
        faults: dict[str, tuple[str, Callable[[], object]]] = {
            "twice": (TWICE, self.deliver_twice),
            "hold": (HELD_BACK, self.hold_back_the_topic),
            "poison": (POISONED, self.poison),
        }
        if name not in faults:
            raise CommandError(f"there is no fault {name}, only {', '.join(faults)}")
        title, begin = faults[name]
        with self._lock:
            if self._running.supervisor.has_fault(title):
                raise CommandError(f"{title}: this is so already, and ends by itself within a minute")
            begin()

    def deliver_twice(self) -> None:
        """Deliver every event twice.

        A queue of our own gets a copy of each event from the topic. Each copy goes to the queues that the event
        belongs to.
        """
        with translated("subscribe a queue"):
            url = self._sqs.create_queue(QueueName=self._copies)["QueueUrl"]
            arn = self._sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
            self._sns.subscribe(
                TopicArn=self._running.config.resources.topic_arn,
                Protocol="sqs",
                Endpoint=arn,
                Attributes={"RawMessageDelivery": "true"},
            )
        stop = threading.Event()
        copying = threading.Thread(target=self._copy, args=(SqsQueue(self._sqs, url), stop), daemon=True)
        copying.start()

        def end() -> None:
            stop.set()
            copying.join()
            self.clear()

        self._running.supervisor.add_fault(TWICE, end)

    def _copy(self, queue: SqsQueue, stop: threading.Event) -> None:
        queues = [(service, self._running.aws.queue(service.name)) for service in self._running.catalog.consumers]
        while not stop.is_set():
            try:
                messages = queue.receive(10, 1)
                for message in messages:
                    event_type = jsontext.loads(message.body)["eventType"]
                    for service, its_queue in queues:
                        if event_type in service.consumes:
                            its_queue.send(message.body, attributes_of(event_type))
                if messages:
                    queue.delete(messages)
            except Unavailable:
                stop.wait(1)

    def clear(self) -> None:
        """Remove the queue of copies, also one that a killed supervisor left."""
        topic = self._running.config.resources.topic_arn
        with translated("remove the queue of copies"):
            for one in self._sns.list_subscriptions_by_topic(TopicArn=topic)["Subscriptions"]:
                if one["Endpoint"].endswith(f":{self._copies}"):
                    self._sns.unsubscribe(SubscriptionArn=one["SubscriptionArn"])
            for url in self._sqs.list_queues(QueueNamePrefix=self._copies).get("QueueUrls", []):
                self._sqs.delete_queue(QueueUrl=url)

    def hold_back_the_topic(self) -> None:
        """Restart every producer with a topic that does not exist. Their events stay in the outbox of the orders.

        Nothing in the cloud is changed, so nothing is left behind, whatever dies meanwhile.
        """
        topic = self._running.config.resources.topic_arn
        file = self._running.stack.folder / "held-back.env"
        write_atomically(file, self._running.stack.env_file.read_text().replace(topic, f"{topic}-held-back"))
        producers = sorted({event.producer for event in self._running.catalog.events.values()})
        usual = {service: self._running.supervisor.env_of(service) for service in producers}
        wrong = {service: {**env, "SHOPFLOW_ENV_FILE": str(file)} for service, env in usual.items()}
        self._running.supervisor.add_fault(HELD_BACK, lambda: self._restart(usual))
        threading.Thread(target=self._restart, args=(wrong,), name="hold").start()  # the Order Service answers first

    def _restart(self, env: Mapping[str, Mapping[str, str]]) -> None:
        with ThreadPoolExecutor(len(env)) as pool:
            list(pool.map(self._running.supervisor.restart, env, env.values()))

    def poison(self) -> str:
        """Send Payment a message that breaks its contract. Returns its id. The end of the fault deletes it for good."""
        message_id = self._running.aws.queue("payment").send(POISON, {})
        target = target_of("payment", self._running.aws, self._running.catalog, self._running.env, QUIET)
        purge = partial(target.purge, Selection(ALL, [message_id]), dry_run=False, agreed=lambda _: True)
        self._running.supervisor.add_fault(POISONED, purge)
        return message_id
