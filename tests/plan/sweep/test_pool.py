import sys

import pytest

from biomatrix_jax.plan.sweep import pool

# Answers with what it was asked; its behaviour is part of the request.
WORKER = """
import json, os, signal, sys, time
request = json.load(sys.stdin)
with open(request["log"], "a") as log:
    log.write(f"start {request['n']}\\n")
kill, mark = request.get("kill"), request["mark"]
if kill == "always" or kill == "once" and not os.path.exists(mark):
    open(mark, "w").close()
    os.kill(os.getpid(), signal.SIGKILL)
if request.get("crash"):
    print("noise")
    sys.exit("the last line")
time.sleep(request.get("sleep", 0))
with open(request["log"], "a") as log:
    log.write(f"end {request['n']}\\n")
with open(sys.argv[1], "w") as reply:
    json.dump({"plan": request["n"], "host_bytes": request.get("host_bytes", 1)}, reply)
"""


@pytest.fixture
def run(tmp_path):
    script = tmp_path / "worker.py"
    script.write_text(WORKER)
    log = tmp_path / "log"
    log.touch()

    def run(requests, jobs=2, **options):
        for n, request in enumerate(requests):
            request |= {"n": n, "log": str(log), "mark": str(tmp_path / f"mark{n}")}
        replies = {}
        pool.run(
            requests, jobs, replies.__setitem__, command=(sys.executable, str(script)), **options
        )
        return [replies[n] for n in range(len(requests))]

    run.log = lambda: log.read_text().split("\n")[:-1]
    return run


def most_at_a_time(log):
    now = most = 0
    for line in log:
        now += 1 if line.startswith("start") else -1
        most = max(most, now)
    return most


def test_each_request_gets_its_own_reply(run):
    replies = run([{"sleep": 0.3}, {}, {}])
    assert [reply["plan"] for reply in replies] == [0, 1, 2]
    assert most_at_a_time(run.log()) == 2


def test_a_worker_that_fails_takes_only_its_own_point(run):
    replies = run([{"crash": True}, {}])
    assert replies[0] == {"failed": "the planner failed: the last line"}
    assert replies[1]["plan"] == 1


def test_who_was_killed_is_tried_again_alone(run):
    replies = run([{"kill": "once"}, {"sleep": 0.3}, {"kill": "always"}])
    assert replies[0]["plan"] == 0
    assert "memory runs out" in replies[2]["failed"]
    assert run.log().count("start 0") == 2
    assert run.log().index("end 1") < run.log().index("end 0")


def test_no_more_start_than_memory_has_room_for(run, monkeypatch):
    """Ten units are free, and each takes four: two side by side, not three."""
    monkeypatch.setattr(pool, "free_memory", lambda: 10)
    monkeypatch.setattr(pool, "resident_memory", lambda pid: 0)
    run([{"sleep": 0.3, "host_bytes": 4} for _ in range(4)], jobs=3, need=4)
    assert most_at_a_time(run.log()) == 2


def test_what_a_worker_took_is_learnt(run, monkeypatch):
    """The first guess leaves room for one at a time, experience for two."""
    monkeypatch.setattr(pool, "free_memory", lambda: pool.FIRST_GUESS)
    monkeypatch.setattr(pool, "resident_memory", lambda pid: 0)
    run([{}, {"sleep": 0.5}, {"sleep": 0.5}])
    assert run.log()[:2] == ["start 0", "end 0"]
    assert most_at_a_time(run.log()) == 2


def test_one_runs_however_little_memory_there_is(run, monkeypatch):
    monkeypatch.setattr(pool, "free_memory", lambda: 0)
    assert len(run([{}, {}])) == 2
    assert most_at_a_time(run.log()) == 1


def test_an_interrupt_ends_the_workers(run, monkeypatch):
    processes = []

    class Watched(pool._Process):
        def __init__(self, *arguments):
            super().__init__(*arguments)
            processes.append(self)

    def interrupted(seconds):
        raise KeyboardInterrupt

    monkeypatch.setattr(pool, "_Process", Watched)
    monkeypatch.setattr(pool.time, "sleep", interrupted)
    with pytest.raises(KeyboardInterrupt):
        run([{"sleep": 60}, {"sleep": 60}])
    assert len(processes) == 2
    assert all(process.ended for process in processes)


def test_requests_arrive_whole(tmp_path):
    """Longer than a pipe holds, and read late."""
    request = {"long": "x" * 1_000_000}
    script = (
        "import json, sys; request = json.load(sys.stdin);"
        "json.dump({'plan': len(request['long'])}, open(sys.argv[1], 'w'))"
    )
    replies = {}
    pool.run([request], 1, replies.__setitem__, command=(sys.executable, "-c", script))
    assert replies == {0: {"plan": 1_000_000}}
