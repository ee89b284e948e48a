"""Tables whose queries peewee builds, as models bound to no database; the migrations make them, a test compares."""

from __future__ import annotations

from peewee import CompositeKey, FloatField, IntegerField, Model, TextField


class Audit(Model):
    """Who changed what, from where."""

    id = IntegerField(primary_key=True)
    at_us = IntegerField()
    who = TextField()
    role = TextField()
    client = TextField()
    request_id = TextField()
    action = TextField()
    target = TextField()
    before_digest = TextField()
    after_digest = TextField()
    outcome = TextField()


class Idempotency(Model):
    """Keys of actions asked for; `status` and `body` are null until the action is done."""

    key = TextField()
    route = TextField()
    request_digest = TextField()
    status = IntegerField(null=True)
    body = TextField(null=True)
    at_us = IntegerField()

    class Meta:
        primary_key = CompositeKey("key", "route")


class Configs(Model):
    """Every version of the document, as it was given."""

    version = IntegerField(primary_key=True)
    digest = TextField()
    document = TextField()
    created_us = IntegerField()
    who = TextField()
    origin = TextField()


class Activations(Model):
    """Which version has run since when; at most one row is current (a unique index sees to it)."""

    id = IntegerField(primary_key=True)
    version = IntegerField()
    from_us = IntegerField()
    state = TextField()
    previous = IntegerField(null=True)
    deadline_us = IntegerField(null=True)
    good_needed = IntegerField(default=0)
    good_seen = IntegerField(default=0)
    owed = TextField(default="{}")
    light = TextField(default="{}")
    starts = IntegerField(default=0)
    reason = TextField(default="")
    provisional_us = IntegerField(null=True)
    unproved = TextField(default="{}")


class JobRow(Model):
    """The queue.  Only `node.store.jobs` writes to it, each change of state by its one function for that."""

    seq = IntegerField(primary_key=True)
    id = TextField()
    kind = TextField()
    key = TextField()
    state = TextField()
    priority = IntegerField()
    payload = TextField()
    who = TextField()
    created_us = IntegerField()
    due_us = IntegerField()
    delay_us = IntegerField(default=0)
    attempt = IntegerField(default=0)
    owner = TextField(default="")
    lease_boot = TextField(default="")
    lease_until_ms = IntegerField(default=0)
    started_us = IntegerField(null=True)
    finished_us = IntegerField(null=True)
    cancel_asked = IntegerField(default=0)
    progress = FloatField(default=0.0)
    said = TextField(default="")
    result = TextField(default="{}")
    error_code = TextField(default="")
    error = TextField(default="")

    class Meta:
        table_name = "jobs"


ALL = (Audit, Idempotency, Configs, Activations, JobRow)
