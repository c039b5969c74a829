"""The JSON Schema of what people write, for editors and other programs. Pure.

An editor completes and underlines by it. `RolloutPlan.parse` has the last word, because a schema
cannot say that percents rise.
"""

from collections.abc import Mapping
from datetime import timedelta
from typing import Any, cast

from pydantic import BaseModel
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue
from pydantic_core import core_schema

from domain.duration import UNITS, spell
from domain.guardrail import Guardrail
from domain.manual import fields, summary
from domain.monitors.plan import Condition, MonitorPlan
from domain.plan import PRESETS, RolloutPlan, RolloutRequest
from domain.segments.plan import Ring, SegmentedPlan
from domain.trials.plan import ExperimentPlan, Variant

DIALECT = "https://json-schema.org/draft/2020-12/schema"
SPELLED = rf"^((\d+(\.\d+)?({'|'.join(UNITS)}))+|P.+)$"
DURATION = {
    "type": "string",
    "pattern": SPELLED,
    "patternErrorMessage": "must be a duration such as 90s, 30m, 4h, 7d or 1h30m",  # of editors
}
INSTANT = r"^\d{4}-\d{2}-\d{2}"
ALONE: Mapping[type, str] = {Guardrail: "metric", Variant: "version", Ring: "segment"}  # by a text
PRESET = {"enum": [*PRESETS]}
SHORT: Mapping[tuple[type, str], JsonSchemaValue] = {
    (RolloutRequest, "plan"): PRESET,
    (SegmentedPlan, "plan"): PRESET,
    (Ring, "plan"): PRESET,
    (ExperimentPlan, "rollout_plan"): PRESET,
    (ExperimentPlan, "variants"): {"type": "object", "additionalProperties": {"type": "number"}},
    (Condition, "above"): DURATION,
    (MonitorPlan, "window"): {"const": "ever"},
}
KINDS: Mapping[str, type[BaseModel]] = {
    "rollout": RolloutPlan,
    "request": RolloutRequest,
    "segmented": SegmentedPlan,
    "experiment": ExperimentPlan,
    "monitor": MonitorPlan,
}


def shape(kind: str = "rollout") -> dict[str, Any]:
    """Return the schema of one of `KINDS`, each field with what its docstring says of it."""
    model = KINDS[kind]
    made = model.model_json_schema(by_alias=True, schema_generator=_Shape)
    title = f"rampart: {kind}" + (" plan" if model is not RolloutRequest else "")
    return {"$schema": DIALECT} | made | {"title": title}


class _Shape(GenerateJsonSchema):
    """Durations as people write them, docstrings as descriptions, short forms beside long ones."""

    def model_schema(self, schema: core_schema.ModelSchema) -> JsonSchemaValue:
        made = super().model_schema(schema)
        model = cast(type[BaseModel], schema["cls"])
        told = fields(model)
        made["description"] = summary(model)
        for name, field in model.model_fields.items():
            shown = made["properties"][field.alias or name]
            shown.pop("title", None)
            if name in told:
                shown["description"] = told[name].removeprefix(f"`{field.alias}`; ")
        return _with_short_forms(made, model)

    def timedelta_schema(self, _schema: core_schema.TimedeltaSchema) -> JsonSchemaValue:
        return {"anyOf": [DURATION, {"type": "number"}]}

    def datetime_schema(self, _schema: core_schema.DatetimeSchema) -> JsonSchemaValue:
        return {"type": "string", "pattern": INSTANT}

    def encode_default(self, dft: object) -> Any:
        if isinstance(dft, timedelta):
            return spell(dft)
        if isinstance(dft, BaseModel):
            whole = dft.model_dump(mode="json", exclude_defaults=True)
            return getattr(dft, ALONE[type(dft)]) if type(dft) in ALONE else whole
        if isinstance(dft, tuple):
            return [self.encode_default(each) for each in dft]
        return super().encode_default(dft)


def _with_short_forms(made: JsonSchemaValue, model: type[BaseModel]) -> JsonSchemaValue:
    for (kind, name), other in SHORT.items():
        if kind is model:
            _allow(made["properties"][name], other)
    if (field := ALONE.get(model)) is None:
        return made
    text = made["properties"][field] | {"description": f"Short for its {field} alone."}
    return {"anyOf": [text, made], "description": made["description"]}


def _allow(given: JsonSchemaValue, other: JsonSchemaValue) -> None:
    """Let a property be `other` as well."""
    kept = ("description", "default")
    was = {key: given.pop(key) for key in [*given] if key not in kept}
    given["anyOf"] = [other, *was.get("anyOf", [was])]
