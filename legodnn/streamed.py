"""What a profile says of a model that is streamed."""

from __future__ import annotations

from pydantic import Field, model_validator
from typing_extensions import Self

from legodnn.schema import MOST_CONTAINERS, MOST_PROFILED_THREADS, Bytes, Many, Milliseconds, Name, Schema, Threads


class StreamedOption(Schema):
    """What an option takes in a streamed model: the memory of its weights while it runs, and the median of its time.

    `median_ms` is by thread count, in the order of `StreamedModel.threads`.
    """

    segment: Name
    option: Name
    weights_bytes: Bytes
    median_ms: Many[Milliseconds] = Field(min_length=1, max_length=MOST_PROFILED_THREADS)


class StreamedModel(Schema):
    """What a model takes that is streamed: run segment by segment, with the weights of one segment in memory at a time.

    `floor_bytes` is what else it holds then.
    """

    threads: Many[Threads] = Field(min_length=1, max_length=MOST_PROFILED_THREADS)
    floor_bytes: Bytes
    options: Many[StreamedOption] = Field(min_length=1, max_length=MOST_CONTAINERS)

    @model_validator(mode="after")
    def _as_many_times(self) -> Self:
        for option in self.options:
            if len(option.median_ms) != len(self.threads):
                raise ValueError(f"{option.segment}/{option.option} has not one time for each thread count")
        return self
