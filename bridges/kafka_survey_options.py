"""What a source of survey alerts over Kafka is told."""

import re
from typing import Self

from pydantic import Field, field_validator, model_validator

from bridges.kafka_options import KafkaOptions
from schemas.times import us_from_iso

NAMED_STARTS = frozenset({"earliest", "latest", "committed"})


class KafkaSurveyOptions(KafkaOptions):
    """A survey's alerts, from topics of a Kafka cluster."""

    topics: tuple[str, ...] = Field((), description="Names of topics; or a pattern instead.")
    topic_pattern: str | None = Field(
        None, description=r"Regular expression that whole names of topics match, such as `ztf_\d{8}_programid1`."
    )
    group: str | None = Field(
        None, min_length=1, description="Consumer group to which positions are committed, for tools that watch them."
    )
    start: str = Field(
        "earliest",
        description="Where to begin if the store knows no position yet: `earliest`, `latest`, `committed` (to the "
        "group, or else earliest) or an ISO time. Topics and partitions that appear later are read from "
        "their beginning.",
    )
    workers: int = Field(1, ge=1, description="How many processes share the partitions.")
    worker: int = Field(
        0, ge=0, description="Which of them this is: it reads the partitions p with p mod workers = it."
    )
    batch_messages: int = Field(1000, ge=1, description="Most messages of a batch.")
    batch_bytes: int = Field(32 << 20, ge=1, description="A batch that has reached so many bytes is handed over.")
    batch_wait_s: float = Field(0.1, ge=0.0, le=60.0, description="Longest wait for more, once a batch has a message.")
    # The client copies an answer together of what arrives: with 32 MiB it reads a third fewer bytes a second.
    fetch_bytes: int = Field(4 << 20, ge=1 << 10, description="Most bytes of one answer of a server.")
    buffer_bytes: int = Field(
        128 << 20, ge=1 << 10, description="Most bytes that are read ahead, all partitions together, as compressed."
    )
    check_crcs: bool = Field(True, description="Check the checksums of the batches of records.")
    metadata_age_s: float = Field(30.0, gt=0.0, description="How often new topics and partitions are looked for.")
    commit_interval_s: float = Field(5.0, gt=0.0, description="How often positions are committed to the group.")

    @field_validator("topic_pattern")
    @classmethod
    def _is_a_pattern(cls, pattern: str | None) -> str | None:
        if pattern is not None:
            try:
                re.compile(pattern)
            except re.error as error:
                raise ValueError(f"is no regular expression: {error}") from error
        return pattern

    @field_validator("start")
    @classmethod
    def _is_a_start(cls, start: str) -> str:
        if start not in NAMED_STARTS:
            us_from_iso(start)
        return start

    @model_validator(mode="after")
    def _make_sense(self) -> Self:
        if bool(self.topics) == (self.topic_pattern is not None):
            raise ValueError("name topics or a topic_pattern, one of them")
        if self.start == "committed" and self.group is None:
            raise ValueError("start = committed needs a group")
        if self.worker >= self.workers:
            raise ValueError("worker is one of 0 to workers - 1")
        return self

    @property
    def start_us(self) -> int | None:
        """The time to begin at; None if it is none."""
        return None if self.start in NAMED_STARTS else us_from_iso(self.start)

    def reads(self, topic: str, partition: int) -> bool:
        """Whether this process reads a partition."""
        wanted = re.fullmatch(self.topic_pattern, topic) if self.topic_pattern is not None else topic in self.topics
        return bool(wanted) and partition % self.workers == self.worker
