import { createSocket } from "node:dgram";
import { createServer } from "node:net";
import { expect, test } from "vitest";
import { startAcmeLab } from "../../image/support/acme-lab.ts";
import { startNameServer } from "../../image/support/dns.ts";
import type { ImageHarness } from "../../image/support/pop.ts";
import { freePorts } from "../../support/free-ports.ts";

const address = "127.0.0.1";
const network = { name: "none", subnet: "127.0.0.0/8", gateway: address, subnet6: "::/128" };

/** Binds a port and lets go of it. Rejects with EADDRINUSE if it is taken. */
const bindTcp = (port: number): Promise<unknown> =>
  new Promise<void>((bound, failed) => {
    const server = createServer().once("error", failed);
    server.listen(port, address, () => server.close(() => bound()));
  });
const bindUdp = (port: number): Promise<unknown> =>
  new Promise<void>((bound, failed) => {
    const socket = createSocket("udp4").once("error", failed);
    socket.bind(port, address, () => socket.close(() => bound()));
  });

test("a lab whose start fails closes what it has opened", async () => {
  const [names = 0, authority = 0, edge = 0] = await freePorts(3);
  const harness = {
    createNetwork: async () => {},
    forward: async () => {
      // By now both are open.
      await expect(Promise.all([bindTcp(names), bindTcp(edge)])).rejects.toThrow("EADDRINUSE");
      throw new Error("no such engine");
    },
  } as unknown as ImageHarness;
  const options = { image: "none", network, edgeAddress: "127.0.0.2", ports: { names, authority, edge } };
  await expect(startAcmeLab(harness, options)).rejects.toThrow("no such engine");
  await Promise.all([bindTcp(names), bindUdp(names), bindTcp(edge)]);
});

test("a name server that has only one of its two ports closes it", async () => {
  const [port = 0] = await freePorts(1);
  const taken = createSocket("udp4");
  await new Promise<void>((bound) => taken.bind(port, address, bound));
  await expect(startNameServer(address, port)).rejects.toThrow("EADDRINUSE");
  await bindTcp(port);
  await new Promise<void>((closed) => taken.close(closed));
});
