"""Healthy means: the worker of this container asked Temporal for work within two minutes."""

import asyncio
import socket
import sys
from datetime import UTC, datetime, timedelta

from temporalio.api.enums.v1 import TaskQueueType
from temporalio.api.taskqueue.v1 import TaskQueue
from temporalio.api.workflowservice.v1 import DescribeTaskQueueRequest
from temporalio.client import Client
from temporalio.envconfig import ClientConfig

from settings import Settings

FRESH = timedelta(minutes=2)  # one poll may hang for a minute
ANSWER_WITHIN_S = 8.0


async def polls() -> bool:
    """Ask Temporal whether a worker of this host polls our task queue."""
    client = await Client.connect(**ClientConfig.load_client_connect_config())
    answer = await client.workflow_service.describe_task_queue(
        DescribeTaskQueueRequest(
            namespace=client.namespace,
            task_queue=TaskQueue(name=Settings.from_env().task_queue),
            task_queue_type=TaskQueueType.TASK_QUEUE_TYPE_WORKFLOW,
        )
    )
    since = datetime.now(UTC) - FRESH
    await asyncio.sleep(0.05)  # sdk-python#300: leaving at once may crash the interpreter
    return any(
        poller.identity.endswith(f"@{socket.gethostname()}")
        and poller.last_access_time.ToDatetime(UTC) > since
        for poller in answer.pollers
    )


if __name__ == "__main__":
    sys.exit(not asyncio.run(asyncio.wait_for(polls(), ANSWER_WITHIN_S)))
