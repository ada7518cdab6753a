"""A Hub on this machine: the requests that `huggingface_hub` makes for models, and no others."""

import base64
import contextlib
import dataclasses
import hashlib
import json
import re
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote, urlsplit

TOKEN = "hf_test"
OWNER = "lab"  # whose repositories TOKEN may write


@dataclasses.dataclass
class Repository:
    """Snapshots by commit, and the commits that branches and tags name."""

    private: bool = False
    gated: bool = False
    commits: dict[str, dict[str, bytes]] = dataclasses.field(default_factory=dict)
    refs: dict[str, str] = dataclasses.field(default_factory=dict)
    messages: list[str] = dataclasses.field(default_factory=list)

    def commit(self, files: dict[str, bytes], ref: str = "main") -> str:
        content = [
            ref,
            len(self.commits),
            *sorted((n, hashlib.sha1(files[n]).hexdigest()) for n in files),
        ]
        oid = hashlib.sha1(repr(content).encode()).hexdigest()
        self.commits[oid] = dict(files)
        self.refs[ref] = oid
        return oid

    def head(self, ref: str = "main") -> dict[str, bytes]:
        return self.commits[self.refs[ref]]


class FakeHub:
    """Attributes:
    repositories: by id; tests fill and read them.
    requests: (method, path) of every request, in order.
    """

    def __init__(self):
        self.repositories: dict[str, Repository] = {}
        self.requests: list[tuple[str, str]] = []
        self.blobs: dict[str, bytes] = {}
        self.fail: dict[str, int] = {}  # part of a path -> status of the answer
        self._server = ThreadingHTTPServer(
            ("127.0.0.1", 0), type("Handler", (_Handler,), {"hub": self})
        )
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(
            target=self._server.serve_forever, args=(0.01,), daemon=True
        )
        self._thread.start()

    def add(self, repo_id: str, files: dict[str, bytes], **options) -> Repository:
        self.repositories[repo_id] = repository = Repository(**options)
        repository.commit(files)
        return repository

    def downloaded(self) -> set[str]:
        """The names of the files whose content or size was asked for."""
        found = (re.fullmatch("/[^/]+/[^/]+/resolve/[^/]+/(.*)", path) for _, path in self.requests)
        return {match.group(1) for match in found if match}

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


@contextlib.contextmanager
def connected(monkeypatch, cache: Path) -> Iterator[FakeHub]:
    """Has `huggingface_hub` talk to a new fake, without a login, and keep what it loads in `cache`.

    Its settings are read when it is imported, hence the constants.
    """
    from huggingface_hub import constants, file_download
    from huggingface_hub.utils import disable_progress_bars

    hub = FakeHub()
    template = hub.url + "/{repo_id}/resolve/{revision}/{filename}"
    monkeypatch.setattr(constants, "ENDPOINT", hub.url)
    for module in (constants, file_download):  # where version 2 has it, and 0.34
        monkeypatch.setattr(module, "HUGGINGFACE_CO_URL_TEMPLATE", template, raising=False)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(cache))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True)
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_IMPLICIT_TOKEN", False)
    monkeypatch.setattr(constants, "HF_TOKEN_PATH", str(cache / "token"))
    for name in ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    disable_progress_bars()
    try:
        yield hub
    finally:
        hub.close()


class _Refused(Exception):
    def __init__(self, status: int, code: str = "", message: str = "", content: dict | None = None):
        self.status, self.code, self.message, self.content = status, code, message, content or {}


class _Handler(BaseHTTPRequestHandler):
    hub: FakeHub
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def _handle(self) -> None:
        path = urlsplit(self.path).path
        self.hub.requests.append((self.command, unquote(path)))
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        if "chunked" in self.headers.get("Transfer-Encoding", ""):
            body = self._read_chunks()
        try:
            for part, status in self.hub.fail.items():
                if part in path:
                    raise _Refused(status, message="out of order")
            self._answer(200, *self._route(path, body))
        except _Refused as refused:
            headers = {"X-Error-Code": refused.code, "X-Error-Message": refused.message}
            self._answer(refused.status, refused.content, {k: v for k, v in headers.items() if v})

    do_GET = do_HEAD = do_POST = do_PUT = _handle

    def _read_chunks(self) -> bytes:
        content = b""
        while size := int(self.rfile.readline(), 16):
            content += self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()
        return content

    def _answer(
        self, status: int, content: bytes | dict | list, headers: dict | None = None
    ) -> None:
        if not isinstance(content, bytes):
            content = json.dumps(content).encode()
        self.send_response(status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)

    def _route(self, path: str, body: bytes) -> tuple:
        for method, pattern, action in _ROUTES:
            if self.command in method and (match := re.fullmatch(pattern, path)):
                found = {
                    name: value and unquote(value) for name, value in match.groupdict().items()
                }
                return action(self, body, **found)
        raise _Refused(404, "EntryNotFound")

    # What may be seen and done

    def _repository(self, repo: str, content: bool = False) -> Repository:
        repository = self.hub.repositories.get(repo)
        if repository is None or (repository.private and not self._logged_in()):
            raise _Refused(404 if self._logged_in() else 401, "RepoNotFound")
        if content and repository.gated and not self._logged_in():
            raise _Refused(401, "GatedRepo", "Access to model is restricted")
        return repository

    def _logged_in(self) -> bool:
        return self.headers.get("Authorization") == f"Bearer {TOKEN}"

    def _may_write(self, owner: str) -> None:
        if not self._logged_in():
            raise _Refused(401, message="Invalid username or password.")
        if owner != OWNER:
            raise _Refused(403, message="no rights in this namespace")

    def _commit(self, repository: Repository, revision: str) -> tuple[str, dict[str, bytes]]:
        oid = repository.refs.get(revision, revision)
        if oid not in repository.commits:
            raise _Refused(404, "RevisionNotFound")
        return oid, repository.commits[oid]

    # Reading

    def _info(self, _, repo: str, revision: str | None = None) -> tuple:
        repository = self._repository(repo)
        oid, files = self._commit(repository, revision or "main")
        siblings = [{"rfilename": name} for name in sorted(files)]
        return ({"id": repo, "sha": oid, "private": repository.private, "siblings": siblings},)

    def _tree(self, _, repo: str, revision: str) -> tuple:
        _, files = self._commit(self._repository(repo, content=True), revision)
        return ([_entry(name, content) for name, content in sorted(files.items())],)

    def _file(self, _, repo: str, revision: str, name: str) -> tuple:
        oid, files = self._commit(self._repository(repo, content=True), revision)
        if name not in files:
            raise _Refused(404, "EntryNotFound")
        return files[name], {"X-Repo-Commit": oid, "ETag": f'"{_etag(name, files[name])}"'}

    # Writing

    def _create(self, body: bytes) -> tuple:
        asked = json.loads(body)
        self._may_write(asked["organization"])
        repo = f"{asked['organization']}/{asked['name']}"
        if repo in self.hub.repositories:
            there = {"url": f"{self.hub.url}/{repo}"}
            raise _Refused(409, message="You already created this model repo", content=there)
        private = asked.get("visibility") == "private" or asked.get("private") is True
        self.hub.add(repo, {".gitattributes": b"*.safetensors filter=lfs"}, private=private)
        return ({"url": f"{self.hub.url}/{repo}"},)

    def _branch(self, _, owner: str, repo: str, branch: str) -> tuple:
        self._may_write(owner)
        repository = self._repository(repo)
        if branch in repository.refs:
            raise _Refused(409, message="Reference already exists")
        repository.refs[branch] = repository.refs["main"]
        return ({},)

    def _validate(self, _) -> tuple:
        return ({"warnings": [], "errors": []},)

    def _preupload(self, body: bytes, owner: str, repo: str, revision: str) -> tuple:
        self._may_write(owner)
        _, there = self._commit(self._repository(repo), revision)
        ignored = there.get(".gitignore", b"").decode().split()
        files = [
            {
                "path": file["path"],
                "uploadMode": "lfs" if file["path"].endswith(".safetensors") else "regular",
                "shouldIgnore": file["path"] in ignored,
                "oid": None,
            }
            for file in json.loads(body)["files"]
        ]
        return ({"files": files},)

    def _batch(self, body: bytes, owner: str, repo: str) -> tuple:
        self._may_write(owner)
        objects = [
            o | {"actions": {"upload": {"href": f"{self.hub.url}/lfs/{o['oid']}"}}}
            for o in json.loads(body)["objects"]
        ]
        return ({"transfer": "basic", "objects": objects},)

    def _store(self, body: bytes, oid: str) -> tuple:
        if hashlib.sha256(body).hexdigest() != oid:
            raise _Refused(400, message="not what was announced")
        self.hub.blobs[oid] = body
        return (b"",)

    def _change(self, body: bytes, owner: str, repo: str, revision: str) -> tuple:
        self._may_write(owner)
        repository = self._repository(repo)
        parent, there = self._commit(repository, revision)
        files = dict(there)
        for line in map(json.loads, body.splitlines()):
            match line["key"], line["value"]:
                case "header", value:
                    if value.get("parentCommit", parent) != parent:
                        raise _Refused(412, message="a commit came in between")
                    repository.messages.append(value["summary"])
                case "file", value:
                    files[value["path"]] = base64.b64decode(value["content"])
                case "lfsFile", value:
                    files[value["path"]] = self.hub.blobs[value["oid"]]
                case "deletedFile", value:
                    del files[value["path"]]
        oid = repository.commit(files, revision)
        return ({"commitUrl": f"{self.hub.url}/{repo}/commit/{oid}", "commitOid": oid},)


_REPO = "(?P<repo>(?P<owner>[^/]+)/[^/]+?)"
_READ = "(?P<repo>[^/]+/[^/]+)"
_REVISION = "(?P<revision>[^/]+)"
_ROUTES = [
    ("GET", f"/api/models/{_READ}(/revision/{_REVISION})?", _Handler._info),
    ("GET", f"/api/models/{_READ}/tree/{_REVISION}", _Handler._tree),
    ("GET HEAD", f"/{_READ}/resolve/{_REVISION}/(?P<name>.*)", _Handler._file),
    ("POST", "/api/repos/create", _Handler._create),
    ("POST", f"/api/models/{_REPO}/branch/(?P<branch>[^/]+)", _Handler._branch),
    ("POST", "/api/validate-yaml", _Handler._validate),
    ("POST", f"/api/models/{_REPO}/preupload/{_REVISION}", _Handler._preupload),
    ("POST", rf"/{_REPO}\.git/info/lfs/objects/batch", _Handler._batch),
    ("PUT", "/lfs/(?P<oid>[0-9a-f]+)", _Handler._store),
    ("POST", f"/api/models/{_REPO}/commit/{_REVISION}", _Handler._change),
]


def _etag(name: str, content: bytes) -> str:
    if name.endswith(".safetensors"):
        return hashlib.sha256(content).hexdigest()
    return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()


def _entry(name: str, content: bytes) -> dict:
    oid = hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()
    entry = {"type": "file", "path": name, "size": len(content), "oid": oid}
    if name.endswith(".safetensors"):
        entry["lfs"] = {"oid": _etag(name, content), "size": len(content), "pointerSize": 134}
    return entry
