"""Clients of OpenFeature, asked about one flag."""

from openfeature import api
from openfeature.client import OpenFeatureClient
from openfeature.evaluation_context import EvaluationContext
from openfeature.flag_evaluation import FlagEvaluationDetails

from domain.database import Database
from serving import Serving
from serving.provider import RampartProvider
from tests.serving.stage import FLAG, SOON, Scripted

DEFAULT = "the application's own"


def client_of(database: Database, intake: Scripted | None = None) -> OpenFeatureClient:
    serving = Serving(database, intake=intake, poll=SOON, every=SOON)
    api.set_provider_and_wait(RampartProvider(serving))
    return api.get_client()


def ask(client: OpenFeatureClient, user: str) -> FlagEvaluationDetails[str]:
    return client.get_string_details(FLAG, DEFAULT, EvaluationContext(user))
