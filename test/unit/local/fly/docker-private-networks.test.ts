/** Private networks on an engine that cannot have them: said once, and no machine fails. */
import type Docker from "dockerode";
import { expect, test } from "vitest";
import { createDockerPrivateNetworks } from "../../../../local/fly/runners/docker/private-networks.ts";

/** An engine that knows no network and refuses each new one. */
function engine(refusal: string) {
  const asked: string[] = [];
  const refuse = (statusCode: number, message: string) =>
    Promise.reject(Object.assign(new Error(message), { statusCode }));
  const docker = {
    getNetwork: () => ({ inspect: () => refuse(404, "no such network") }),
    listNetworks: async () => [],
    createNetwork: (options: { Name: string }) => {
      asked.push(options.Name);
      return refuse(500, refusal);
    },
  } as unknown as Docker;
  const log: string[] = [];
  const options = { docker, stack: "s", network: "s", answer: () => undefined, log: (line: string) => log.push(line) };
  return { asked, log, networks: createDockerPrivateNetworks(options) };
}

test("a host without IPv6: one line in the log, one try, and machines have none", async () => {
  const { asked, log, networks } = engine("could not set up IPv6 on the bridge: no such file or directory");
  const [first, second] = await Promise.all([networks.of("fdaa:7:1:a7b:1:1:1:2"), networks.of("fdaa:7:1:a7b:1:1:2:2")]);
  expect([first, second, await networks.of("fdaa:7:1:a7b:1:1:1:2")]).toEqual([undefined, undefined, undefined]);
  expect(asked).toEqual(["s-6pn-7-1"]);
  expect(log).toEqual([
    "docker: machines of fdaa:7:1:a7b::/64 run without a private network: could not set up IPv6 on the bridge: no such file or directory.",
  ]);
  await networks.close();
});

test.each(["", "10.0.0.1", "fdaa::3", "fe80::1"])(
  "a machine at %j is on none, and nothing is tried",
  async (address) => {
    const { asked, log, networks } = engine("never asked");
    expect(await networks.of(address)).toBeUndefined();
    expect([asked, log]).toEqual([[], []]);
  },
);
