"""The containers of demo/docker-compose.yml, under a project name of their own, on free ports."""

import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
import urllib.error
import urllib.request

from checks import Failed, until

DEMO = pathlib.Path(__file__).resolve().parents[2] / "demo"
EDGES = ["edge-1", "edge-2"]
SIDECARS = ["sidecar-1", "sidecar-2", "sidecar-3", "sidecar-4"]
ENVOYS = EDGES + SIDECARS
PROJECT = f"serin-test-{os.getpid()}"
LABEL = "label=com.docker.compose"

# Those that are started; the others are what these depend on. Not Grafana: what it shows is for people to look at.
STARTED = ["load", "prometheus"]
CONTAINERS = 15


def run(*command, **options):
    """What a command prints. Its complaints come with the error that it fails with."""
    done = subprocess.run(command, text=True, capture_output=True, **options)
    if done.returncode != 0:
        raise Failed(f"{' '.join(command)}: {done.stderr[-2000:] or done.stdout[-2000:]}")
    return done.stdout


def runs(*command):
    """Whether there is such a command and it succeeds."""
    return shutil.which(command[0]) is not None and subprocess.run(command, capture_output=True).returncode == 0


class Fleet:
    """The containers, by the names of their services."""

    def __init__(self, config):
        self.config = config
        kinds = [["docker", "compose"], ["docker-compose"]]
        found = [kind for kind in kinds if runs(*kind, "version")]
        if not found:
            sys.exit("docker fleet: not run, there is neither `docker compose` nor docker-compose")
        self.command = found[0] + ["--project-name", PROJECT, "--file", str(DEMO / "docker-compose.yml")]
        ports = dict.fromkeys(["SERIN_PORT", "EDGE_PORT", "LOAD_PORT", "PROMETHEUS_PORT"], "")
        self.environment = {**os.environ, **ports, "DEMO_CONFIG": str(config)}
        self.pages = {}

    def compose(self, *arguments):
        return run(*self.command, *arguments, env=self.environment)

    def container(self, service):
        service = f"{LABEL}.service={service}"
        return run("docker", "ps", "-aq", "--filter", f"{LABEL}.project={PROJECT}", "--filter", service).strip()

    def start(self):
        """Starts what is not running, and waits until all of it is healthy."""
        self.compose("up", "-d", *STARTED)
        self.pages.clear()

        def healthy():
            states = run("docker", "ps", "-a", "--filter", f"{LABEL}.project={PROJECT}", "--format", "{{.Status}}")
            well = states.count("(healthy)")
            return well == CONTAINERS, f"{well} of {CONTAINERS}"

        until("all containers are healthy", healthy)

    def network(self, verb, service):
        run("docker", "network", verb, f"{PROJECT}_control", self.container(service))

    def ask(self, service, port, path, headers=None, body=None):
        """Status and text of a page that a container publishes on this machine. The port is another one after each
        start of the container."""
        if service not in self.pages:
            self.pages[service] = self.compose("port", service, str(port)).strip()
        request = urllib.request.Request(f"http://{self.pages[service]}{path}", data=body, headers=headers or {})
        try:
            with urllib.request.urlopen(request, timeout=10) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()

    def api(self, path, body=None):
        status, text = self.ask("serin", 18001, f"/api/v1/{path}", body=body)
        if status != 200:
            raise Failed(f"{path}: {status}: {text}")
        return json.loads(text)

    def order(self, rollout, verb):
        self.api(f"rollouts/{rollout}/{verb}", body=b"{}")

    def rollout(self, name):
        return self.api(f"rollouts/{name}")

    def nodes(self):
        return {node["id"]: node for node in self.api("fleet")["nodes"]}

    def accounts(self):
        """What came of the load, by target."""
        return json.loads(self.ask("load", 8081, "/")[1])

    def edit(self, rollout, target):
        """Edits the target, as an editor does: the new text beside the old, then renamed over it."""
        path = self.config / "rollouts" / f"{rollout}.yaml"
        lines = path.read_text().splitlines(keepends=True)
        lines = [f"  target: {target}\n" if line.startswith("  target: ") else line for line in lines]
        beside = path.with_suffix(".new")
        beside.write_text("".join(lines))
        beside.rename(path)

    def hold_pauses(self):
        """Has timed pauses wait to be promoted: time goes on while a busy machine is looked at."""
        path = self.config / "rollouts" / "shop.yaml"
        text, count = re.subn(r"pause: {duration: \w+}", "pause: {}", path.read_text())
        if count == 0:
            raise Failed(f"{path} has no timed pause")
        path.write_text(text)

    def weights_of(self, envoy, rollout):
        """How an Envoy itself says that it splits the requests of a rollout, in percent by version."""
        page = "127.0.0.1:9901/config_dump?resource=dynamic_route_configs"
        dump = json.loads(run("docker", "exec", self.container(envoy), "shop", "get", page))
        routes = [
            route
            for config in dump["configs"]
            for host in config["route_config"]["virtual_hosts"]
            for route in host["routes"]
            if "headers" not in route["match"]
        ]
        weights = {}
        for action in (route["route"] for route in routes):
            whole = [{"name": action.get("cluster", ""), "weight": 1}]
            parts = action.get("weighted_clusters", {}).get("clusters", whole)
            total = sum(part.get("weight", 0) for part in parts)
            for name, weight in ((part["name"], part.get("weight", 0)) for part in parts):
                if name.startswith(f"{rollout}/"):
                    weights[name.removeprefix(f"{rollout}/")] = 100 * weight / total
        return {version: weight for version, weight in weights.items() if weight > 0}


def split(rollout):
    """The weights of a rollout that serin asks for, in percent by version."""
    return {part["version"]: part["weight"] for part in rollout["weights"] if part["weight"] > 0}


def synced(node):
    """Whether an Envoy is here and has acknowledged all it should have, as the fleet view tells it."""
    states = [state["status"] for state in node["types"]]
    return node["connected"] and bool(states) and set(states) == {"SYNCED"}


def told(nodes):
    """The fleet view in a few words."""

    def word(node):
        return "SYNCED" if synced(node) else "STALE" if node["connected"] else "away"

    return ", ".join(f"{name} {word(node)}" for name, node in sorted(nodes.items()))
