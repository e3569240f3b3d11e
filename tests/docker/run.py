"""Drives the docker fleet of demo/docker-compose.yml, breaks it in many ways and checks it: `make test-docker`.

It runs under a name of its own, on free ports and a copy of the rollout files, so it disturbs no `make demo-docker`,
and takes all of it away at its end, however it ends. It waits for what can be observed, each wait with a limit. Grafana is
not started: what it shows is only looked at by people.
"""

import contextlib
import json
import math
import pathlib
import shutil
import signal
import sys
import tempfile

import checks
from checks import Failed, check, until, wait
from fleet import DEMO, EDGES, ENVOYS, LABEL, PROJECT, SIDECARS, Fleet, run, runs, split, synced, told


class Story:
    """What is done to the fleet, one scene after the other."""

    def __init__(self, fleet):
        self.fleet = fleet
        # Failed requests that are accounted for: those by an Envoy while it was paused or killed.
        self.excused = {}

    def stands(self, what, rollout, phase, weights, count):
        """Waits until a rollout stands so, and `count` Envoys have it."""

        def probe():
            report = self.fleet.rollout(rollout)
            fleet = report["convergence"] or {"converged": 0, "nodes": 0}
            right = report["phase"] == phase and split(report) == weights
            has = f"{report['phase']} {split(report)} {fleet['converged']}/{fleet['nodes']}: {report['message']}"
            return right and fleet["converged"] == fleet["nodes"] == count, has

        until(what, probe)

    def waits(self, what, weights, late):
        """Waits until the canary is held up at these weights by Envoys that are late, and says so."""

        def probe():
            report = self.fleet.rollout("shop")
            named = all(name in report["message"] for name in late)
            return report["phase"] == "Paused" and split(report) == weights and named, report["message"]

        until(what, probe)

    def truth(self, away=(), late=(), rollout="shop"):
        """Checks that the fleet view says of each Envoy what is so: who is away, who is late (away or not), and that
        whoever is in sync splits requests as serin says."""

        def view():
            nodes = self.fleet.nodes()
            right = set(nodes) == set(ENVOYS)
            right = right and all(not nodes[name]["connected"] for name in away)
            right = right and not any(synced(nodes[name]) for name in late)
            return right and all(synced(nodes[name]) for name in set(ENVOYS) - {*away, *late}), told(nodes)

        until("the fleet view tells who follows", view)
        weights = split(self.fleet.rollout(rollout))
        own = {name: self.fleet.weights_of(name, rollout) for name in ENVOYS if name not in {*away, *late}}
        differ = {name: its for name, its in own.items() if its != weights}
        check(f"each of the {len(own)} Envoys in sync itself says {weights}", not differ, differ or "")

    def unharmed(self, besides=()):
        """Checks that no request failed so far, but through Envoys that were paused or killed while they were."""
        accounts = {t: a for t, a in self.fleet.accounts().items() if t.split(":")[0] not in besides}
        requests = sum(account["requests"] for account in accounts.values())
        harmed = {t: a["failures"] for t, a in accounts.items() if a["failed"] > self.excused.get(t, 0)}
        words = " through the other Envoys" if besides else ", but those excused" if any(self.excused.values()) else ""
        check(f"0 of {requests:,} requests failed{words}", not harmed, harmed or "")

    def recovered(self, envoy):
        """Waits until an Envoy answers again, and excuses what failed meanwhile."""
        seen = {}

        def probe():
            accounts = {t: a for t, a in self.fleet.accounts().items() if t.startswith(f"{envoy}:")}
            for target, account in accounts.items():
                if account["failed"] != seen.get(target, {"failed": -1})["failed"]:
                    seen[target] = account
            self.excused.update({target: account["failed"] for target, account in accounts.items()})
            lost = f"{sum(self.excused[target] for target in accounts)} of its requests failed"
            return all(a["requests"] - seen[t]["requests"] >= 50 for t, a in accounts.items()), lost

        until(f"{envoy} answers again", probe)

    def asked(self, what, right, targets=None, least=400):
        """Waits for so many more requests on the targets and checks the shares, in percent, of those who answered."""
        before = self.fleet.accounts()
        targets = targets or [target for target in before if not target.endswith("/checkout")]

        def probe():
            after = self.fleet.accounts()
            return sum(after[t]["requests"] - before[t]["requests"] for t in targets) >= least, after

        enough, after = wait(probe)
        answered = {}
        for target in targets:
            for colour, count in after[target]["answered"].items():
                answered[colour] = answered.get(colour, 0) + count - before[target]["answered"].get(colour, 0)
        total = max(sum(answered.values()), 1)
        # Five standard deviations: by chance once in two million times.
        far = {colour: 5 * math.sqrt(weight * (100 - weight) / total) for colour, weight in right.items()}
        shares = {colour: 100 * count / total for colour, count in answered.items() if count}
        near = all(abs(shares.get(colour, 0) - weight) <= far[colour] + 1e-9 for colour, weight in right.items())
        words = ", ".join(f"{colour} {share:.1f} %" for colour, share in sorted(shares.items()))
        check(what, enough and near and set(shares) <= set(right), f"{words} of {total:,} requests")

    def begins(self):
        self.truth()
        groups = {name: node["group"] for name, node in self.fleet.nodes().items()}
        edge, sidecar = ({groups[name] for name in names} for names in (EDGES, SIDECARS))
        check("two groups", len(edge) == len(sidecar) == 1 and edge != sidecar, [*edge, *sidecar])
        variants = {node["variant"] for node in self.fleet.nodes().values()}
        check("SotW and delta are mixed", variants == {"sotw", "delta"}, variants)
        self.asked("all requests go to blue", {"blue": 100})
        self.unharmed()

    def canary(self):
        self.fleet.edit("shop", "green")
        self.stands("the canary is at 5 %", "shop", "Paused", {"blue": 95, "green": 5}, 6)
        colour = self.fleet.ask("edge-1", 10000, "/", headers={"x-canary": "true"})
        check("x-canary: true gets green", colour == (200, "green"), colour)

        # A step while one Envoy hangs.
        run("docker", "pause", self.fleet.container("sidecar-3"))
        self.fleet.order("shop", "promote")
        self.waits("the step waits for the paused Envoy and names it", {"blue": 75, "green": 25}, ["sidecar-3"])
        self.truth(late=["sidecar-3"])
        self.unharmed(besides=["sidecar-3"])
        run("docker", "unpause", self.fleet.container("sidecar-3"))
        self.stands("it goes on by itself when that follows", "shop", "Paused", {"blue": 75, "green": 25}, 6)
        self.recovered("sidecar-3")
        self.truth()

        # And one while another is dead.
        run("docker", "kill", self.fleet.container("edge-2"))
        self.fleet.order("shop", "promote")
        self.stands("50 % without the killed Envoy", "shop", "Paused", {"blue": 50, "green": 50}, 5)
        self.truth(away=["edge-2"])
        self.unharmed(besides=["edge-2"])
        run("docker", "start", self.fleet.container("edge-2"))
        self.stands("it has the step when it is back", "shop", "Paused", {"blue": 50, "green": 50}, 6)
        self.recovered("edge-2")
        self.truth()
        self.asked("half of the requests go to green", {"blue": 50, "green": 50})

    def control_plane_dies(self):
        before = self.fleet.rollout("shop")
        run("docker", "kill", self.fleet.container("serin"))
        self.asked("without serin the split stays", {"blue": 50, "green": 50})
        run("docker", "start", self.fleet.container("serin"))
        self.fleet.pages.pop("serin")

        def ready():
            with contextlib.suppress(OSError):
                return self.fleet.ask("serin", 18001, "/readyz")[0] == 200, ""
            return False, ""

        until("serin is back", ready)
        self.stands("the canary is at 50 % still", "shop", "Paused", {"blue": 50, "green": 50}, 6)
        after = self.fleet.rollout("shop")
        same = [before[key] == after[key] for key in ("revision", "sequence", "step")]
        check("nothing happened meanwhile", all(same), f"revision {after['revision']}, sequence {after['sequence']}")
        self.truth()
        self.unharmed()

    def network_is_cut(self):
        cut = ["edge-2", "sidecar-1"]
        for envoy in cut:
            self.fleet.network("disconnect", envoy)
        self.fleet.order("shop", "promote")
        self.waits("all to green waits for the two that are cut off", {"green": 100}, cut)
        self.truth(late=cut)
        self.stands("and goes on once they are known to be away", "shop", "Healthy", {"green": 100}, 4)
        self.truth(away=cut)
        self.asked("who is cut off splits as before", {"blue": 50, "green": 50}, [f"{envoy}:10000" for envoy in cut])
        for envoy in cut:
            self.fleet.network("connect", envoy)
        self.stands("they catch up", "shop", "Healthy", {"green": 100}, 6)
        self.truth()
        self.asked("all requests go to green", {"green": 100})
        self.unharmed()

    def abort(self):
        self.fleet.edit("shop", "blue")
        self.stands("a canary of blue is at 5 %", "shop", "Paused", {"green": 95, "blue": 5}, 6)
        self.fleet.order("shop", "abort")
        self.stands("aborted: all back to green", "shop", "Degraded", {"green": 100}, 6)
        self.truth()
        self.asked("all requests go to green", {"green": 100})
        self.fleet.edit("shop", "green")
        self.stands("well again once the file says so too", "shop", "Healthy", {"green": 100}, 6)
        self.unharmed()

    def colour_switch(self):
        target = [f"{envoy}:10000/checkout" for envoy in EDGES]
        self.asked("checkout is blue", {"blue": 100}, target, 80)
        self.fleet.edit("checkout", "green")
        self.stands("the switch waits for a person", "checkout", "Paused", {"blue": 100}, 2)
        got = [self.fleet.ask("edge-1", 10000, "/checkout", headers)[1] for headers in ({"x-preview": "1"}, {})]
        check("x-preview: 1 gets green, others blue", got == ["green", "blue"], got)
        self.fleet.order("checkout", "promote")
        self.stands("switched", "checkout", "Healthy", {"green": 100}, 2)
        own = {envoy: self.fleet.weights_of(envoy, "checkout") for envoy in EDGES}
        check("both edges themselves say so", all(its == {"green": 100} for its in own.values()), own)
        self.asked("checkout is green", {"green": 100}, target, 80)
        self.unharmed()

    def measured(self):
        """Prometheus has read the alert rules and reaches serin."""

        def up():
            status, text = self.fleet.ask("prometheus", 9090, "/api/v1/targets?state=active")
            targets = json.loads(text)["data"]["activeTargets"] if status == 200 else []
            return [target["health"] for target in targets] == ["up"], [target["lastError"] for target in targets]

        until("Prometheus measures serin", up)
        rules = json.loads(self.fleet.ask("prometheus", 9090, "/api/v1/rules")[1])["data"]["groups"]
        rules = [rule for group in rules for rule in group["rules"]]
        right = bool(rules) and all(rule["health"] != "err" for rule in rules)
        check("its alert rules are evaluated without an error", right, f"{len(rules)} rules")

    def ends(self):
        account = self.fleet.accounts()
        self.fleet.compose("stop")
        form = "{{.Names}}: {{.Status}}"
        states = run("docker", "ps", "-a", "--filter", f"{LABEL}.project={PROJECT}", "--format", form)
        unclean = [state for state in states.splitlines() if "Exited (0)" not in state]
        check("all end cleanly when asked to", not unclean, ", ".join(unclean))
        last = run("docker", "logs", "--tail", "1", self.fleet.container("load"))
        summary = json.loads(last)
        lost = [t for t in account if summary[t]["failed"] != account[t]["failed"]]
        check("and stopping fails no request", not lost, {t: summary[t]["failures"] for t in lost} or "")
        for target, account in summary.items():
            counts = f"{account['requests']:6,} requests, {account['failed']:4} failed, {account['answered']}"
            print(f"       {target:24} {counts}")

    def starts_again(self):
        self.fleet.start()
        self.stands("the rollouts are where they were", "shop", "Healthy", {"green": 100}, 6)
        self.stands("both of them", "checkout", "Healthy", {"green": 100}, 2)


def main():
    if not runs("docker", "info"):
        sys.exit("docker fleet: not run, no Docker engine answers")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("terminated"))
    broken = (Failed, OSError, KeyError, ValueError, IndexError, TypeError)
    with tempfile.TemporaryDirectory() as folder:
        config = pathlib.Path(folder) / "config"
        shutil.copytree(DEMO / "config" / "docker", config)
        # serin is another user in its container.
        pathlib.Path(folder).chmod(0o755)
        fleet = Fleet(config)
        fleet.hold_pauses()
        try:
            story = Story(fleet)
            fleet.compose("build", "serin", "blue-1", "edge-1")
            print("       the images are built", flush=True)
            fleet.start()
            scenes = [story.begins, story.canary, story.control_plane_dies, story.network_is_cut, story.abort]
            for scene in [*scenes, story.colour_switch, story.measured, story.ends, story.starts_again]:
                print(f"-- {scene.__name__.replace('_', ' ')}")
                scene()
        except broken as error:
            checks.failed = max(checks.failed, 1)
            print(f"{type(error).__name__}: {error}")
            with contextlib.suppress(Failed):
                print(fleet.compose("logs", "--no-color", "--tail", "40"))
        finally:
            with contextlib.suppress(Failed):
                fleet.compose("down", "--volumes", "--remove-orphans", "--timeout", "5")
    ours = ("ls", "-q", "--filter", f"{LABEL}.project={PROJECT}")
    left = [run("docker", kind, *ours) for kind in ("container", "network", "volume")]
    if any(left):
        checks.failed += 1
        print("containers, networks or volumes are left:", *left)
    print(f"docker fleet: {checks.passed} checks passed, {checks.failed} failed")
    sys.exit(1 if checks.failed else 0)


main()
