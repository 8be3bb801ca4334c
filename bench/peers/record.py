"""The record as a pydantic model, for the frameworks that validate with pydantic."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field


class Record(BaseModel):
    """A record: 13 columns with their ranges and levels; ``None`` for a missing value."""

    model_config = ConfigDict(extra="forbid")

    age: Annotated[float, Field(ge=1, le=120)]
    sex: Literal["female", "male"]
    cp: Literal["typical angina", "atypical angina", "non-anginal pain", "asymptomatic"]
    trestbps: Annotated[float, Field(ge=50, le=300)] | None
    chol: Annotated[float, Field(ge=50, le=1000)] | None
    fbs: Literal["no", "yes"] | None
    restecg: Literal["normal", "st-t abnormality", "left ventricular hypertrophy"] | None
    thalach: Annotated[float, Field(ge=30, le=250)] | None
    exang: Literal["no", "yes"] | None
    oldpeak: Annotated[float, Field(ge=-10, le=15)] | None
    slope: Literal["upsloping", "flat", "downsloping"] | None
    ca: Literal[0, 1, 2, 3] | None
    thal: Literal["normal", "fixed", "reversible"] | None


class Prediction(BaseModel):
    """The probability of the outcome."""

    probability: float
