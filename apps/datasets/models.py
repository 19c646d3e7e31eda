"""Prompts with rubrics, in versions that never change."""

from __future__ import annotations

from django.conf import settings
from django.contrib.postgres.indexes import GinIndex
from django.contrib.postgres.search import SearchVectorField
from django.db import models
from django.db.models.fields.json import KeyTextTransform
from django.db.models.functions import Coalesce

from kos.data.rubrics import RubricTask


class Dataset(models.Model):
    """A named set; what it holds lies in its versions."""

    name = models.CharField(max_length=120, unique=True)
    description = models.TextField(blank=True)
    created = models.DateTimeField(auto_now_add=True)

    def __str__(self) -> str:
        return self.name


class DatasetVersion(models.Model):
    """An immutable content of a dataset, named by the hash over its examples.

    ``num_examples``, ``num_items`` and ``facts`` (``apps.datasets.statistics``) are counted when
    the version is made, so that no page counts rows.
    """

    dataset = models.ForeignKey(Dataset, on_delete=models.CASCADE, related_name="versions")
    number = models.PositiveIntegerField()
    digest = models.CharField(max_length=64)
    source = models.CharField(max_length=200)
    note = models.TextField(blank=True, help_text="What is new in it, in the words of its maker")
    base = models.ForeignKey(
        "self", null=True, blank=True, on_delete=models.SET_NULL, related_name="successors"
    )
    num_examples = models.PositiveIntegerField(default=0)
    num_items = models.PositiveIntegerField(default=0)
    facts = models.JSONField(default=dict)
    is_restricted = models.BooleanField(default=False)
    is_demonstration = models.BooleanField(default=False)
    created = models.DateTimeField(auto_now_add=True)
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.SET_NULL
    )

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["dataset", "number"], name="version_number"),
            models.UniqueConstraint(fields=["dataset", "digest"], name="version_digest"),
        ]
        ordering = ["-created", "-pk"]

    def __str__(self) -> str:
        return f"{self.dataset.name} v{self.number}"


# What may be searched, as one JSON array. Its text has escapes for line ends and tabs, which
# would stick to the words behind them. A tsvector holds a megabyte: a record that is longer is
# searched by its beginning.
WORDS = r"""
CASE WHEN coalesce(%(expressions)s->>'restricted', 'false') = 'true' THEN ''::tsvector ELSE
to_tsvector('english', left(replace(replace(replace((
    jsonb_path_query_array(%(expressions)s, '$.messages[*].content')
    || jsonb_path_query_array(%(expressions)s, '$.rubric[*].text')
    || jsonb_path_query_array(%(expressions)s, '$.rubric[*].tags[*]')
    || jsonb_path_query_array(%(expressions)s, '$.tags[*]')
    || jsonb_path_query_array(%(expressions)s, '$.reference')
    || jsonb_path_query_array(%(expressions)s, '$.specialty')
    || jsonb_path_query_array(%(expressions)s, '$.id')
)::text, '\n', ' '), '\t', ' '), '\r', ' '), 300000)) END
""".strip()


class ExampleManager(models.Manager["Example"]):
    def get_queryset(self) -> models.QuerySet[Example]:
        return super().get_queryset().defer("search")


class Example(models.Model):
    """One task of a version. ``task`` is a ``kos.data.rubrics.RubricTask`` as JSON.

    ``search`` holds the words of prompt, rubric, reference and tags, written by the database;
    it is empty for restricted rows, and no row is loaded with it.
    """

    version = models.ForeignKey(DatasetVersion, on_delete=models.CASCADE, related_name="examples")
    external_id = models.CharField(max_length=120)
    position = models.PositiveIntegerField()
    split = models.CharField(max_length=12)
    use_case = models.CharField(max_length=20)
    specialty = models.CharField(max_length=60, blank=True)
    num_items = models.PositiveIntegerField()
    content_hash = models.CharField(max_length=64, blank=True)
    task = models.JSONField()
    difficulty = models.GeneratedField(
        expression=Coalesce(
            KeyTextTransform("difficulty", "task"),
            models.Value("other"),
            output_field=models.TextField(),
        ),
        output_field=models.CharField(max_length=12),
        db_persist=True,
    )
    search = models.GeneratedField(
        expression=models.Func(models.F("task"), template=WORDS, output_field=SearchVectorField()),
        output_field=SearchVectorField(),
        db_persist=True,
    )

    objects = ExampleManager()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["version", "external_id"], name="example_id"),
        ]
        indexes = [
            models.Index(fields=["version", "split", "position"]),
            models.Index(fields=["version", "position"], name="example_place"),
            GinIndex(fields=["search"], name="example_search"),
        ]
        ordering = ["position"]

    def __str__(self) -> str:
        return self.external_id

    @property
    def rubric_task(self) -> RubricTask:
        return RubricTask.model_validate(self.task)

    @property
    def prompt(self) -> str:
        """The last message, which the answer is to."""
        return str(self.task["messages"][-1]["content"])


class DraftQuerySet(models.QuerySet["DraftVersion"]):
    def open(self) -> DraftQuerySet:
        return self.filter(status=DraftVersion.Status.OPEN)


class DraftVersion(models.Model):
    """Edits on their way to the next version. Everybody who may write may write in one."""

    class Status(models.TextChoices):
        OPEN = "open", "Open"
        PUBLISHED = "published", "Published"
        DISCARDED = "discarded", "Discarded"

    dataset = models.ForeignKey(Dataset, on_delete=models.CASCADE, related_name="drafts")
    base = models.ForeignKey(
        DatasetVersion,
        null=True,
        blank=True,
        on_delete=models.SET_NULL,
        related_name="drafts",
        help_text="The version that it changes; without one the dataset begins with it",
    )
    title = models.CharField(max_length=120, blank=True)
    status = models.CharField(max_length=10, choices=Status, default=Status.OPEN)
    published = models.OneToOneField(
        DatasetVersion,
        null=True,
        blank=True,
        on_delete=models.SET_NULL,
        related_name="made_from",
    )
    created = models.DateTimeField(auto_now_add=True)
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.SET_NULL
    )
    touched = models.DateTimeField(auto_now=True)

    objects = DraftQuerySet.as_manager()

    class Meta:
        ordering = ["-touched", "-pk"]

    def __str__(self) -> str:
        return self.title or f"Draft {self.pk}"


class DraftChange(models.Model):
    """One example of a draft that differs from its base.

    ``task`` is kept as it was typed, usable or not; ``problems`` says what is wrong in it.
    ``revision`` goes up with every save: who saves over another's revision is told.
    """

    class Kind(models.TextChoices):
        EDITED = "edited", "Edited"
        ADDED = "added", "Added"
        REMOVED = "removed", "Removed"

    draft = models.ForeignKey(DraftVersion, on_delete=models.CASCADE, related_name="changes")
    external_id = models.CharField(max_length=120)
    kind = models.CharField(max_length=8, choices=Kind)
    task = models.JSONField(null=True)
    problems = models.JSONField(default=list)
    revision = models.PositiveIntegerField(default=1)
    sitting = models.CharField(max_length=32, blank=True)
    by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.SET_NULL
    )
    at = models.DateTimeField(auto_now=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["draft", "external_id"], name="draft_example"),
        ]
        ordering = ["-at", "-pk"]

    def __str__(self) -> str:
        return f"{self.external_id} ({self.kind})"


class DraftStep(models.Model):
    """What somebody did to one example of a draft, with what stood before: it can be undone.

    Saves of one sitting are one step. ``before`` is null where the example was as in the base.
    """

    draft = models.ForeignKey(DraftVersion, on_delete=models.CASCADE, related_name="steps")
    external_id = models.CharField(max_length=120)
    said = models.CharField(max_length=200)
    before = models.JSONField(null=True)
    revision = models.PositiveIntegerField(help_text="The change's after the step")
    sitting = models.CharField(max_length=32, blank=True)
    is_undone = models.BooleanField(default=False)
    by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.SET_NULL
    )
    at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["-pk"]

    def __str__(self) -> str:
        return f"{self.external_id}: {self.said}"


class Work(models.Model):
    """What takes longer than a page may wait, done by a process of its own.

    ``told`` are its arguments and ``result`` is what it found, both JSON. A process says that
    it lives by ``touched``.
    """

    class Kind(models.TextChoices):
        READ = "read", "Reading the file"
        KEEP = "keep", "Saving the prompts"
        PUBLISH = "publish", "Making the version"
        REPEATS = "repeats", "Looking for repeated prompts"

    class Status(models.TextChoices):
        WAITING = "waiting", "Waiting"
        RUNNING = "running", "Running"
        DONE = "done", "Done"
        FAILED = "failed", "Failed"

    kind = models.CharField(max_length=8, choices=Kind)
    status = models.CharField(max_length=8, choices=Status, default=Status.WAITING)
    version = models.ForeignKey(
        DatasetVersion, null=True, blank=True, on_delete=models.CASCADE, related_name="work"
    )
    told = models.JSONField(default=dict)
    result = models.JSONField(default=dict)
    error = models.TextField(blank=True)
    num_done = models.PositiveIntegerField(default=0)
    num_total = models.PositiveIntegerField(default=0)
    by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.SET_NULL
    )
    created = models.DateTimeField(auto_now_add=True)
    touched = models.DateTimeField(auto_now=True)

    class Meta:
        indexes = [models.Index(fields=["version", "kind", "-id"], name="work_of_version")]
        ordering = ["-pk"]

    def __str__(self) -> str:
        return f"{self.kind} {self.pk}: {self.status}"


class LabelSet(models.Model):
    """Verdicts of people on single criteria: what a judge is measured against."""

    name = models.CharField(max_length=120)
    digest = models.CharField(max_length=64, unique=True)
    source = models.CharField(max_length=200)
    is_restricted = models.BooleanField(default=False)
    created = models.DateTimeField(auto_now_add=True)
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.SET_NULL
    )

    class Meta:
        ordering = ["-created", "-pk"]

    def __str__(self) -> str:
        return self.name


class LabelledAnswer(models.Model):
    """One answer and one criterion. ``row`` is a ``kos.data.labels.LabelledAnswer`` as JSON."""

    label_set = models.ForeignKey(LabelSet, on_delete=models.CASCADE, related_name="answers")
    position = models.PositiveIntegerField()
    category = models.CharField(max_length=200, blank=True)
    num_labels = models.PositiveIntegerField()
    num_met = models.PositiveIntegerField()
    row = models.JSONField()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["label_set", "position"], name="label_position"),
        ]
        ordering = ["position"]

    def __str__(self) -> str:
        return f"{self.label_set_id}: {self.position}"
