"""The containers, parsed: none can be started on this machine, so all that the files show is checked."""

from __future__ import annotations

import itertools
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from ingest.serving import ENVIRONMENT, SERVERS, UNPINNED, Role

ROOT = Path(__file__).resolve().parents[1]
OPS = ROOT / "docs" / "ops"
#: A service of compose, the role it serves, and the share of the GPU it says.
MODELS: dict[str, tuple[Role, float | None]] = {
    "vision": ("vision", None),
    "vision-min": ("vision", 0.92),
    "guard": ("guard", None),
    "embed": ("embed", None),
    "rerank": ("rerank", None),
}
#: Started by hand, once, and gone again.
ONCE = {"fetch"}
#: Its image holds nothing that could ask.
UNWATCHED = {"collector"}


def compose(**environment: str) -> dict[str, Any]:
    """Return the file with its variables filled in, as compose would."""
    text = (ROOT / "docker-compose.yml").read_text("utf-8")

    def fill(found: re.Match[str]) -> str:
        name, sign, otherwise = found.groups()
        if sign == ":?" and name not in environment:
            raise KeyError(name)
        return environment.get(name) or otherwise or ""

    filled = re.sub(r"\$\{(\w+)(:[-?])([^}]*)\}", fill, text)
    loaded: dict[str, Any] = yaml.safe_load(filled)
    return loaded


@pytest.fixture(scope="module")
def services() -> dict[str, Any]:
    found: dict[str, Any] = compose(PAGEWARDEN_API_KEY="0123456789abcdef")["services"]
    return found


@pytest.mark.parametrize("name", ["gpu", "gpu-min", "observability", "fetch"])
def test_podman_compose_reads_it_as_we_do(services: dict[str, Any], name: str) -> None:
    if shutil.which("podman-compose") is None or shutil.which("podman") is None:
        pytest.skip("podman-compose and podman are not here; the file was read by our own few lines alone")
    words = ["podman-compose", "--profile", name, "-f", str(ROOT / "docker-compose.yml"), "config"]
    environment = {**os.environ, "PAGEWARDEN_API_KEY": "0123456789abcdef"}
    done = subprocess.run(words, env=environment, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    read = yaml.safe_load(done.stdout)["services"]
    assert set(read) == profile(services, name) | profile(services, None)
    for service in profile(services, name):
        assert read[service].get("command") == services[service].get("command")
        assert read[service]["image"] == services[service]["image"]


def profile(services: dict[str, Any], name: str | None) -> set[str]:
    return {
        n for n, s in services.items() if (name in s.get("profiles", []) if name else "profiles" not in s)
    }


def test_every_profile_holds_what_it_says(services: dict[str, Any]) -> None:
    assert profile(services, None) == {"api", "qdrant"}
    assert profile(services, "gpu") == {"vision", "guard", "embed", "rerank"}
    assert profile(services, "gpu-min") == {"vision-min"}
    assert profile(services, "observability") == {"prometheus", "grafana", "collector"}
    assert profile(services, "fetch") == ONCE
    assert services["vision-min"]["networks"]["inside"]["aliases"] == ["vision"]


def test_it_does_not_start_without_a_key() -> None:
    with pytest.raises(KeyError, match="PAGEWARDEN_API_KEY"):
        compose()


def test_every_container_is_pinned_watched_and_without_privileges(services: dict[str, Any]) -> None:
    for name, service in services.items():
        assert re.search(r":v?\d+\.\d+\.\d+", service["image"]), name
        assert "latest" not in service["image"], name
        assert service["cap_drop"] == ["ALL"], name
        assert service["security_opt"] == ["no-new-privileges:true"], name
        assert service["read_only"] is True, name
        assert not service.get("privileged"), name
        assert service.get("ipc") != "host", name
        assert name in ONCE or str(service["user"]).split(":")[0] not in {"0", "root"}, name
        assert name in ONCE or service["restart"] == "always", name
        assert name in ONCE | UNWATCHED or service["healthcheck"]["test"][0] == "CMD", name


def test_no_container_listens_beyond_this_machine(services: dict[str, Any]) -> None:
    published = {n: s["ports"] for n, s in services.items() if "ports" in s}
    assert set(published) == {"api", "grafana"}
    assert all(port.startswith("127.0.0.1:") for ports in published.values() for port in ports)


def test_model_servers_and_the_index_have_no_way_out(services: dict[str, Any]) -> None:
    assert compose(PAGEWARDEN_API_KEY="x")["networks"]["inside"] == {"internal": True}
    for name in {*MODELS, "qdrant", "prometheus", "collector"}:
        assert set(services[name]["networks"]) == {"inside"}, name


def test_nothing_in_the_files_is_a_secret(services: dict[str, Any]) -> None:
    for name, service in services.items():
        for key, value in service.get("environment", {}).items():
            if re.search(r"KEY|TOKEN$|PASSWORD|SECRET", key) and key != "PAGEWARDEN_API_KEY":
                assert value in {"", None}, (name, key)
    for path in [ROOT / ".env.example", *OPS.glob("*.env")]:
        assert not re.search(r"(?m)^[^#\n]*(KEY|TOKEN|PASSWORD)=\S", path.read_text("utf-8")), path.name


@pytest.mark.parametrize("name", MODELS)
def test_a_model_server_says_what_models_serve_says(services: dict[str, Any], name: str) -> None:
    role, share = MODELS[name]
    server = SERVERS[role]
    pinned = server.checkpoint.revision or (UNPINNED if server.runs_its_code else "main")
    words = server.command(gpu_memory=share, host="0.0.0.0", templates=Path("/templates"), revision=pinned)
    assert services[name]["command"] == words
    assert services[name]["entrypoint"] == ["vllm", "serve"]
    assert ENVIRONMENT.items() <= services[name]["environment"].items()


def test_the_command_line_prints_the_words_of_compose(services: dict[str, Any]) -> None:
    words = [sys.executable, "-m", "api", "models", "serve", "vision", "--print", "--host", "0.0.0.0"]
    told = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert shlex.split(told)[-len(services["vision"]["command"]) :] == services["vision"]["command"]


def test_shares_of_the_gpu_leave_room(services: dict[str, Any]) -> None:
    def share(name: str) -> float:
        (word,) = [w for w in services[name]["command"] if w.startswith("--gpu-memory-utilization=")]
        return float(word.partition("=")[2])

    assert sum(share(name) for name in profile(services, "gpu")) < 0.95
    assert share("vision-min") < 0.95
    # 80 GB: what the weights alone take (14, 16, 3.4, 3.4 GB) and a half more for cache and scratch.
    needs = {"vision": 14.0, "guard": 16.0, "embed": 3.4, "rerank": 3.4}
    assert all(80 * share(name) >= 1.25 * gigabytes for name, gigabytes in needs.items())


def test_the_traps_of_the_model_server_are_shut(services: dict[str, Any]) -> None:
    for name in MODELS:
        words = set(services[name]["command"])
        assert {"--no-enable-prefix-caching", "--allowed-media-domains=nowhere.invalid"} <= words
        assert any(word.startswith("--max-num-queued-reqs=") for word in words)
        assert not any(
            word.startswith(("--reasoning-parser", "--allowed-local-media-path")) for word in words
        )
        assert services[name]["environment"]["VLLM_MEDIA_URL_ALLOW_REDIRECTS"] == "0"
        assert ("--trust-remote-code" in words) == any(word.startswith("--code-revision=") for word in words)


def test_model_servers_start_one_after_the_other(services: dict[str, Any]) -> None:
    order = ["vision", "guard", "embed", "rerank"]
    for before, after in itertools.pairwise(order):
        assert services[after]["depends_on"] == {before: {"condition": "service_healthy"}}
    waits = services["api"]["depends_on"]
    assert waits["qdrant"] == {"condition": "service_healthy"}
    assert waits["vision"] == waits["vision-min"] == {"condition": "service_healthy", "required": False}


def test_the_health_of_a_model_server_is_an_answer(services: dict[str, Any]) -> None:
    kinds = {"vision": "chat", "vision-min": "chat", "guard": "chat", "embed": "embed", "rerank": "rerank"}
    for name, kind in kinds.items():
        assert services[name]["healthcheck"]["test"] == ["CMD", "python3", "/ops/alive.py", kind]
        assert "./docs/ops/alive.py:/ops/alive.py:ro" in services[name]["volumes"]


def test_what_is_fetched_is_what_is_served(services: dict[str, Any]) -> None:
    (script,) = services["fetch"]["command"]
    fetched = set(re.findall(r"hf download (\S+) --revision (\S+)", script))
    served = {
        (services[name]["command"][0], word.partition("=")[2])
        for name in profile(services, "gpu")
        for word in services[name]["command"]
        if word.startswith("--revision=")
    }
    assert fetched == served


def test_every_file_that_is_mounted_is_there(services: dict[str, Any]) -> None:
    mounted = [v.split(":")[0] for s in services.values() for v in s.get("volumes", []) if v.startswith("./")]
    assert mounted
    assert [path for path in mounted if not (ROOT / path).exists()] == []


def test_every_setting_of_the_containers_exists(services: dict[str, Any]) -> None:
    known = set(re.findall(r"^#(PAGEWARDEN_\w+)=", (ROOT / ".env.example").read_text("utf-8"), re.MULTILINE))
    named = set(services["api"]["environment"])
    for path in [ROOT / "Dockerfile", *OPS.glob("*.env")]:
        named |= set(re.findall(r"(PAGEWARDEN_\w+)=", path.read_text("utf-8")))
    assert named <= known


@pytest.mark.parametrize("path", sorted(OPS.glob("*.env")), ids=lambda path: path.name)
def test_an_env_file_names_a_profile_and_the_model_it_serves(path: Path) -> None:
    said = dict(line.split("=", 1) for line in path.read_text("utf-8").splitlines() if line[:1].isupper())
    found = compose(PAGEWARDEN_API_KEY="x", **said)["services"]
    (server,) = [n for n in profile(found, said["COMPOSE_PROFILES"]) if n.startswith("vision")]
    assert f"--served-model-name={said['PAGEWARDEN_MODEL']}" in found[server]["command"]
    assert f"--max-model-len={said['PAGEWARDEN_MODEL_CONTEXT_TOKENS']}" in found[server]["command"]
    assert found["api"]["environment"]["PAGEWARDEN_MODEL_URL"] == "http://vision:8000/v1"


def test_what_is_scraped_is_what_is_served(services: dict[str, Any]) -> None:
    scraped = yaml.safe_load((OPS / "prometheus" / "prometheus.yml").read_text("utf-8"))["scrape_configs"]
    targets = {t.split(":")[0] for job in scraped for c in job["static_configs"] for t in c["targets"]}
    assert targets <= set(services)
    rules = yaml.safe_load((OPS / "prometheus" / "alerts.yml").read_text("utf-8"))["groups"]
    assert all(rule["expr"] and rule["annotations"]["summary"] for g in rules for rule in g["rules"])
    panels = json.loads((OPS / "grafana" / "dashboards" / "model-servers.json").read_text("utf-8"))["panels"]
    assert all(panel["targets"] for panel in panels)


def manifests() -> list[dict[str, Any]]:
    blocks = re.findall(r"```yaml\n(.*?)```", (ROOT / "docs" / "kubernetes.md").read_text("utf-8"), re.DOTALL)
    return [manifest for block in blocks for manifest in yaml.safe_load_all(block)]


def test_the_kubernetes_page_serves_with_the_same_flags() -> None:
    (vision,) = [m for m in manifests() if m["kind"] == "Deployment"]
    (container,) = vision["spec"]["template"]["spec"]["containers"]
    server = SERVERS["vision"]
    words = server.command(gpu_memory=0.92, host="0.0.0.0", revision=server.checkpoint.revision)
    assert container["args"] == words
    assert ENVIRONMENT.items() <= {entry["name"]: entry["value"] for entry in container["env"]}.items()


def test_no_pod_is_root_and_no_manifest_holds_a_secret(services: dict[str, Any]) -> None:
    pods = [m["spec"]["template"]["spec"] for m in manifests() if m["kind"] in {"Deployment", "StatefulSet"}]
    assert len(pods) == 2
    for pod in pods:
        assert pod["securityContext"]["runAsNonRoot"] is True
        for container in pod["containers"]:
            assert container["securityContext"]["readOnlyRootFilesystem"] is True
            assert container["image"] in {services["api"]["image"], services["vision"]["image"]}
            keys = [entry for entry in container["env"] if entry["name"].endswith(("_KEY", "_TOKEN"))]
            assert all("value" not in entry for entry in keys)
