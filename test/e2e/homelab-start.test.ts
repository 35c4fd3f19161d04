/** The homelab's container by itself, whose programs may end at any moment of its first start. */
import { afterAll, expect, test } from "vitest";
import { containersOf, labels, openDocker, removeEverything } from "../../local/docker/engine.ts";
import { ask, role, startHomelab } from "../../local/homelab/homelab.ts";
import { until } from "../support/until.ts";

const docker = openDocker();
const stack = `fly-pops-homelab-start-${process.pid}`;

afterAll(() => removeEverything(docker, stack));

test("a vault that is killed while it sets itself up is set up again from nothing", async () => {
  const starting = startHomelab({ docker, stack, network: stack, hosts: ["www.example.test"], log: () => {} });
  const killing = (async () => {
    const [found] = await until(
      () => containersOf(docker, stack, `${labels.role}=${role}`),
      ([one]) => one?.State === "running",
      { seconds: 300, what: "the homelab's container" },
    );
    return ask(docker.getContainer(found?.Id ?? ""), ["sh", "-c", killsByMoments]);
  })();
  const [, keys] = await Promise.all([starting, killing]);
  expect(keys.split("\n")).toContain("unseal");
  expect(keys.split("\n")).not.toContain("vault-is-set-up");
});

/** The setup takes some tenths of a second: what is not yet begun at one of these moments is half done at another. */
const killsByMoments = `
  for moment in 0 0.05 0.1 0.2; do
    until [ -e /data/openbao/vault.db ] && pidof bao >/dev/null; do sleep 0.01; done
    sleep $moment
    kill -9 $(pidof bao)
  done
  ls /data/keys`;
