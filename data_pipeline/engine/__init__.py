"""What carries tasks out: processes of this machine, or an Apache Beam runner.

An engine is a function (work, tasks, done) that calls `work(task)` for every task, somewhere, in
any order, and `done(task)` here as tasks end where it can tell. Results travel by the accounts that
tasks write. The first BadInput stops it all.
"""

from collections.abc import Callable, Sequence

from data_pipeline.tasks import Assigned

Work = Callable[[Assigned], None]
Done = Callable[[Assigned], None]
Engine = Callable[[Work, Sequence[Assigned], Done], None]
