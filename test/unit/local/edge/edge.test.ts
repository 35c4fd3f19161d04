import { once } from "node:events";
import { connect, createServer, type Socket } from "node:net";
import { expect, onTestFinished, test } from "vitest";
import type { Clock } from "../../../../lib/clock.ts";
import { loopback } from "../../../../local/edge/bind.ts";
import { createEdge } from "../../../../local/edge/edge.ts";
import { anycast, dialled, edgeOver, Fleet, listening, machine, next, said } from "../../../support/edge-fleet.ts";
import { until } from "../../../support/until.ts";

const names = (id: string) => (socket: Socket) => void socket.end(id);

test("bytes pass both ways, untouched", async () => {
  const fleet = new Fleet();
  fleet.machines = [await machine("a", "cdg")];
  const { dial, edge } = await edgeOver(fleet);
  const payload = Buffer.from(Array.from({ length: 100_000 }, (_, i) => i % 256));
  const client = await dial();
  client.end(payload);
  expect(Buffer.concat((await Array.fromAsync(client)) as Buffer[]).equals(payload)).toBe(true);
  await until(
    () => edge.counts()[0]?.open,
    (open) => open === 0,
    { everyMs: 1 },
  );
  expect(edge.counts()).toEqual([
    { machineId: "a", open: 0, total: 1, bytesIn: 100_000, bytesOut: 100_000, failedDials: 0 },
  ]);
});

test("proxy_proto v2: the machine reads the client's own address and the public address it dialled, then the stream", async () => {
  const fleet = new Fleet();
  fleet.machines = [await machine("a", "cdg", { handlers: ["proxy_proto"], proxyProtocol: "v2" })];
  const { dial } = await edgeOver(fleet);
  const client = await dial();
  const { localPort } = client;
  client.end("hello");
  const bytes = Buffer.concat((await Array.fromAsync(client)) as Buffer[]); // echoed
  expect(bytes.subarray(0, 16).toString("hex")).toBe("0d0a0d0a000d0a515549540a2111000c");
  expect([...bytes.subarray(16, 24)]).toEqual([127, 0, 0, 1, 203, 0, 113, 7]);
  expect([bytes.readUInt16BE(24), bytes.readUInt16BE(26)]).toEqual([localPort, 443]);
  expect(bytes.subarray(28).toString()).toBe("hello");
});

test("proxy_proto v1 is one line of text", async () => {
  const fleet = new Fleet();
  fleet.machines = [await machine("a", "cdg", { handlers: ["proxy_proto"], proxyProtocol: "v1" })];
  const { dial } = await edgeOver(fleet);
  const client = await dial();
  client.end("hello");
  const port = client.localPort;
  expect(await said(client)).toBe(`PROXY TCP4 127.0.0.1 203.0.113.7 ${port} 443\r\nhello`);
});

test("the header goes out before the client says anything, for servers that speak first", async () => {
  const fleet = new Fleet();
  fleet.machines = [await machine("a", "cdg", { proxyProtocol: "v1" })];
  const { dial } = await edgeOver(fleet);
  expect(await next(await dial(), 10)).toBe("PROXY TCP4");
});

test("an IPv6 address is served on ::1, and its clients are IPv6 to the machine", async ({ skip }) => {
  const fleet = new Fleet();
  fleet.open = [{ ...anycast, ip: "2001:db8::7" }];
  fleet.machines = [await machine("a", "cdg", { proxyProtocol: "v1" })];
  const { edge } = await edgeOver(fleet);
  const local = edge.listeners()[0]?.local;
  if (!local) return skip("this machine has no IPv6");
  expect(local.host).toBe("::1");
  const client = await dialled(local.port, "::1");
  client.end();
  expect(await said(client)).toMatch(/^PROXY TCP6 0:0:0:0:0:0:0:1 2001:db8:0:0:0:0:0:7 \d+ 443\r\n$/);
});

test("the nearest region serves, and another one after the client moved", async () => {
  const fleet = new Fleet();
  fleet.machines = [
    await machine("far", "nrt", { serve: names("far") }),
    await machine("near", "fra", { serve: names("near") }),
  ];
  const { dial, edge } = await edgeOver(fleet);
  expect(await said(await dial())).toBe("near");
  edge.setClientRegion("nrt");
  expect(await said(await dial())).toBe("far");
});

test("a machine at its hard limit is passed over, and taken again when a connection ended", async () => {
  const fleet = new Fleet();
  fleet.machines = [
    await machine("near", "cdg", { hardLimit: 1 }),
    await machine("far", "nrt", { serve: names("far") }),
  ];
  const { dial, edge } = await edgeOver(fleet);
  const first = await dial();
  first.write("x");
  expect(await next(first, 1)).toBe("x");
  expect(await said(await dial())).toBe("far");
  first.end();
  await said(first);
  await until(
    () => edge.counts()[0]?.open,
    (open) => open === 0,
    { everyMs: 1 },
  );
  const second = await dial();
  second.end("y");
  expect(await said(second)).toBe("y");
});

test("a burst cannot overrun the hard limit", async () => {
  const fleet = new Fleet();
  const near = await machine("near", "cdg", { hardLimit: 3 });
  fleet.machines = [near, await machine("far", "nrt")];
  const { dial, edge } = await edgeOver(fleet);
  const clients = await Promise.all(Array.from({ length: 10 }, dial));
  await Promise.all(
    clients.map((client) => {
      client.write("x");
      return next(client, 1);
    }),
  );
  expect(edge.counts().map(({ machineId, open }) => [machineId, open])).toEqual([
    ["near", 3],
    ["far", 7],
  ]);
  expect(near.sockets.length).toBe(3);
});

test("a cordon counts for the next connection and leaves open ones alone", async () => {
  const fleet = new Fleet();
  const [a, b] = [await machine("a", "cdg"), await machine("b", "nrt", { serve: names("b") })];
  fleet.machines = [a, b];
  const { dial } = await edgeOver(fleet);
  const old = await dial();
  old.write("1");
  expect(await next(old, 1)).toBe("1");
  fleet.machines = [b];
  expect(await said(await dial())).toBe("b");
  old.end("2");
  expect(await said(old)).toBe("2");
});

test("a machine that refuses the dial is passed over without the client noticing", async () => {
  const fleet = new Fleet();
  const dead = await machine("dead", "cdg");
  const closed = createServer();
  const port = await listening(closed);
  closed.close();
  fleet.machines = [{ ...dead, dial: { host: "127.0.0.1", port } }, await machine("alive", "nrt")];
  const { dial, edge, log } = await edgeOver(fleet);
  const client = await dial();
  client.end("hello");
  expect(await said(client)).toBe("hello");
  expect(edge.counts()).toMatchObject([
    { machineId: "dead", open: 0, total: 0, failedDials: 1 },
    { machineId: "alive", total: 1, failedDials: 0 },
  ]);
  expect(log.filter((line) => line.includes("closed"))).toEqual([]);
});

test("a port whose listener is gone, accepted and closed by Docker's proxy, is passed over; the next machine gets all the client sent", async () => {
  const fleet = new Fleet();
  const hollow = await machine("hollow", "cdg", {
    serve: (socket) => void socket.once("data", () => socket.resetAndDestroy()),
  });
  fleet.machines = [hollow, await machine("alive", "nrt", { proxyProtocol: "v1" })];
  const { dial, edge } = await edgeOver(fleet);
  const client = await dial();
  client.write("first ");
  await until(
    () => hollow.sockets[0]?.destroyed,
    (destroyed) => destroyed === true,
    { everyMs: 1 },
  );
  client.end("second");
  expect(await said(client)).toMatch(/^PROXY TCP4 .*\r\nfirst second$/);
  expect(edge.counts()).toMatchObject([{ failedDials: 1, open: 0 }, { total: 1 }]);
});

test("a machine that closes in silence is passed over too", async () => {
  const fleet = new Fleet();
  fleet.machines = [
    await machine("hollow", "cdg", { serve: (socket) => void socket.end() }),
    await machine("alive", "nrt"),
  ];
  const { dial } = await edgeOver(fleet);
  const client = await dial();
  client.write("hello");
  expect(await next(client, 5)).toBe("hello");
});

test("a machine that said one byte had the connection: nothing is sent twice", async () => {
  const fleet = new Fleet();
  const spare = await machine("spare", "nrt");
  fleet.machines = [await machine("a", "cdg", { serve: (socket) => void socket.end("!") }), spare];
  const { dial, edge } = await edgeOver(fleet);
  const client = await dial();
  client.end("request");
  expect(await said(client)).toBe("!");
  expect(spare.sockets).toEqual([]);
  expect(edge.counts()).toMatchObject([{ machineId: "a", total: 1, failedDials: 0 }]);
});

test("a client that ends without a word gets an end, from one machine", async () => {
  const fleet = new Fleet();
  const spare = await machine("spare", "nrt");
  fleet.machines = [await machine("a", "cdg"), spare];
  const { dial } = await edgeOver(fleet);
  const client = await dial();
  client.end();
  expect(await said(client)).toBe("");
  expect(spare.sockets).toEqual([]);
});

test("a machine may answer after the client said all it had to say", async () => {
  const fleet = new Fleet();
  const serve = async (socket: Socket) => socket.end(`you said ${await said(socket)}`);
  fleet.machines = [await machine("a", "cdg", { serve: (socket) => void serve(socket) })];
  const { dial } = await edgeOver(fleet);
  const client = await dial();
  client.end("hello");
  expect(await said(client)).toBe("you said hello");
});

test("a client may go on after the machine said all it had to say", async () => {
  const fleet = new Fleet();
  const a = await machine("a", "cdg", { serve: names("bye") });
  fleet.machines = [a];
  const { dial } = await edgeOver(fleet);
  const client = await dial();
  expect(await said(client)).toBe("bye");
  client.end("still here");
  expect(await said(a.sockets[0] as Socket)).toBe("still here");
});

test("an answer cut off by a reset does not look whole", async () => {
  const fleet = new Fleet();
  const a = await machine("a", "cdg", { serve: (socket) => void socket.write("half an ans") });
  fleet.machines = [a];
  const { dial } = await edgeOver(fleet);
  const client = await dial();
  expect(await next(client, 11)).toBe("half an ans");
  a.sockets[0]?.resetAndDestroy();
  await expect(said(client)).rejects.toMatchObject({ code: "ECONNRESET" });
});

test("a client's reset reaches the machine as a reset", async () => {
  const fleet = new Fleet();
  const a = await machine("a", "cdg");
  fleet.machines = [a];
  const { dial, edge } = await edgeOver(fleet);
  const client = await dial();
  client.write("x");
  await next(client, 1);
  const error = once(a.sockets[0] as Socket, "error");
  client.resetAndDestroy();
  expect((await error)[0]).toMatchObject({ code: "ECONNRESET" });
  await until(
    () => edge.counts()[0]?.open,
    (open) => open === 0,
    { everyMs: 1 },
  );
});

test("a client that does not read holds the machine back", async () => {
  const chunk = Buffer.alloc(1024 * 1024);
  const chunks = 128;
  let sent = 0;
  const serve = (socket: Socket) => {
    const more = () => {
      while (sent < chunks) {
        sent++;
        if (!socket.write(chunk)) break;
      }
      if (sent === chunks) socket.end();
      else socket.once("drain", more);
    };
    more();
  };
  const fleet = new Fleet();
  fleet.machines = [await machine("a", "cdg", { serve })];
  const { dial } = await edgeOver(fleet);
  const client = await dial();
  await once(client, "readable"); // something came; nothing is read
  let before = -1;
  while (before !== sent) {
    before = sent;
    await new Promise((resolve) => setTimeout(resolve, 100)); // kernels have no event for "nothing more comes"
  }
  expect(sent).toBeLessThan(chunks / 4); // what sockets' buffers hold, not the whole
  let received = 0;
  for await (const bytes of client) received += (bytes as Buffer).length;
  expect(received).toBe(chunks * chunk.length);
});

test("without a machine the connection is closed and the log says PR01", async () => {
  const { dial, log } = await edgeOver(new Fleet());
  const client = await dial();
  const port = client.localPort;
  expect(await said(client)).toBe("");
  expect(log.at(-1)).toBe(
    `edge: closed the connection of 127.0.0.1:${port} to 203.0.113.7:443, app my-edge has no machine that may take it (PR01).`,
  );
});

test("when every machine refuses, the log names each with its reason", async () => {
  const fleet = new Fleet();
  const closed = createServer();
  const port = await listening(closed);
  closed.close();
  fleet.machines = [
    { ...(await machine("a", "cdg")), dial: { host: "127.0.0.1", port } },
    await machine("b", "nrt", { serve: (socket) => void socket.end() }),
  ];
  const { dial, log } = await edgeOver(fleet);
  await said(await dial());
  expect(log.at(-1)).toContain(
    "no machine of app my-edge took it (PR01): a in cdg (ECONNREFUSED), b in nrt (closed at once).",
  );
});

test("handlers that would read the stream are refused, and said once", async () => {
  const fleet = new Fleet();
  const a = await machine("a", "cdg", { handlers: ["tls", "http"] });
  fleet.machines = [a];
  const { dial, log } = await edgeOver(fleet);
  await said(await dial());
  await said(await dial());
  expect(a.sockets).toEqual([]);
  expect(log.filter((line) => line.includes("tls, http, which local Fly does not model"))).toHaveLength(1);
});

test("a taken port is one sentence: which port, for which address of which app, and what to do", async () => {
  const fleet = new Fleet();
  const taken = await listening(createServer());
  const spare = { ...anycast, port: 80 };
  fleet.open = [spare, anycast];
  const opened: number[] = [];
  const creation = createEdge({
    routes: fleet,
    bind: loopback({ 443: taken }),
    clientRegion: "cdg",
    log: (line) => opened.push(Number(line.match(/served on 127.0.0.1:(\d+)/)?.[1])),
    portAdvice: "Choose another with --https-port.",
  });
  await expect(creation).rejects.toThrow(
    `edge: cannot serve 203.0.113.7:443 of app my-edge, another program listens on 127.0.0.1:${taken}. Choose another with --https-port.`,
  );
  const refused = connect(opened[0] ?? 0, "127.0.0.1"); // the one that did open is closed again
  expect((await once(refused, "error"))[0]).toMatchObject({ code: "ECONNREFUSED" });
});

test("an address of a kind that this machine has none of is left out, and is not reported as a problem", async () => {
  const fleet = new Fleet();
  fleet.open = [anycast, { ...anycast, ip: "2001:db8::7" }];
  fleet.machines = [await machine("m1", "cdg")];
  const { edge, log, dial } = await edgeOver(fleet, {
    bind: ({ ip }) => ({ host: ip.includes(":") ? "203.0.113.200" : "127.0.0.1", port: 0 }),
  });
  expect(edge.listeners()).toHaveLength(1);
  expect(edge.problems()).toEqual([]);
  expect(log.join()).toContain("203.0.113.200");
  const socket = await dial();
  socket.end("hello");
  expect(await said(socket)).toBe("hello");
});

test("a port taken later is a problem until it is free, and then served with the next change", async () => {
  const fleet = new Fleet();
  fleet.open = [];
  const blocker = createServer();
  const taken = await listening(blocker);
  const { edge } = await edgeOver(fleet, { bind: loopback({ 443: taken }) });
  fleet.open = [anycast];
  fleet.changed();
  await edge.settled();
  expect(edge.problems()).toHaveLength(1);
  blocker.close();
  await edge.settled();
  expect(edge.problems()).toEqual([]);
  expect(edge.listeners()).toEqual([{ ...anycast, local: { host: "127.0.0.1", port: taken } }]);
});

test("addresses come and go with the routes; what is open stays open", async () => {
  const fleet = new Fleet();
  fleet.machines = [await machine("a", "cdg")];
  const { dial, edge, port } = await edgeOver(fleet);
  const client = await dial();
  client.write("1");
  await next(client, 1);
  fleet.open = [];
  fleet.changed();
  await edge.settled();
  const refused = connect(port, "127.0.0.1");
  expect((await once(refused, "error"))[0]).toMatchObject({ code: "ECONNREFUSED" });
  client.end("2");
  expect(await said(client)).toBe("2");
});

test("the first app keeps the preferred ports, others get free ones", () => {
  const bind = loopback({ 443: 8443 });
  const other = { ...anycast, app: "other", ip: "203.0.113.8" };
  expect(bind(anycast)).toEqual({ host: "127.0.0.1", port: 8443 });
  expect(bind(other)).toEqual({ host: "127.0.0.1", port: 0 });
  expect(bind({ ...anycast, ip: "2001:db8::7" })).toEqual({ host: "::1", port: 8443 });
  expect(bind({ ...anycast, port: 22 })).toEqual({ host: "127.0.0.1", port: 0 });
  expect(bind(anycast)).toEqual({ host: "127.0.0.1", port: 8443 });
});

test("closing lets an answer under way end, and cuts what is still open at the deadline", async () => {
  const timers: (() => void)[] = [];
  // Only the deadline of the drain is driven by hand; the rest of the edge's timers may run as they like.
  const clock: Clock = {
    now: () => Date.now(),
    after: (ms, run) => {
      if (ms === 60_000) timers.push(run);
      return () => {};
    },
  };
  const fleet = new Fleet();
  fleet.machines = [await machine("a", "cdg")];
  const { dial, edge, port } = await edgeOver(fleet, { clock });
  const [polite, idle] = [await dial(), await dial()];
  for (const client of [polite, idle]) {
    client.write("x");
    await next(client, 1);
  }
  let closed = false;
  const closing = edge.close({ drainMs: 60_000 }).then(() => {
    closed = true;
  });
  const refused = connect(port, "127.0.0.1");
  onTestFinished(() => void refused.destroy());
  expect((await once(refused, "error"))[0]).toMatchObject({ code: "ECONNREFUSED" });
  polite.end("last words");
  expect(await said(polite)).toBe("last words");
  expect(closed).toBe(false);
  timers[0]?.();
  await said(idle);
  await closing;
});
