/** Names of the private network as a table, and DNS messages around them. */
import dns from "dns-packet";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import {
  flycastAddress,
  groupOf,
  isOnNetwork,
  machineAddress,
  rangeOf,
} from "../../../../local/fly/core/private-network.ts";
import { respond } from "../../../../local/fly/network/dns-message.ts";
import { type Answer, answer, type Directory, type NamedMachine } from "../../../../local/fly/network/names.ts";

const machine = (over: Partial<NamedMachine>): NamedMachine => ({
  id: "00000000000000",
  app: "edge",
  network: 1,
  region: "cdg",
  privateIp: "fdaa:0:1:a7b:1:1:1:2",
  started: true,
  registered: true,
  metadata: {},
  ...over,
});

const ip = (n: number) => `fdaa:0:1:a7b:1:1:${n}:2`;
const directory: Directory = {
  apps: [
    { name: "edge", network: 1 },
    { name: "empty", network: 1 },
    { name: "vms", network: 1 },
    { name: "theirs", network: 2 },
  ],
  machines: [
    machine({ id: "d0000000000001", privateIp: ip(1), metadata: { fly_process_group: "Web", Role: "Main" } }),
    machine({ id: "d0000000000002", privateIp: ip(2), region: "nrt" }),
    machine({ id: "d0000000000003", privateIp: ip(3), region: "ams", started: false }),
    machine({ id: "d0000000000004", privateIp: ip(4), region: "fra", registered: false }),
    machine({ id: "d0000000000005", privateIp: ip(5), region: "lhr", metadata: { fly_process_group: "worker" } }),
    machine({ id: "d0000000000006", privateIp: ip(6), app: "vms" }),
    machine({ id: "d0000000000009", privateIp: "fdaa:0:2:a7b:1:1:9:2", app: "theirs", network: 2 }),
  ],
};
const asker = { network: 1, region: "ams" };
const ask = (type: string, name: string, from: typeof asker | undefined = asker) =>
  answer({ type, name }, from, directory);

const long = "a".repeat(63);
const all = [ip(1), ip(2), ip(5)];
const none: Answer = { code: "NOERROR", records: [] };
const noName: Answer = { code: "NXDOMAIN", records: [] };
const found = (...records: string[]): Answer => ({ code: "NOERROR", records });

test.each<[type: string, name: string, answer: Answer | undefined]>([
  // Addresses.
  ["AAAA", "edge.internal", found(...all)],
  ["AAAA", "edge.internal.", found(...all)],
  ["AAAA", "EDGE.Internal", found(...all)],
  ["AAAA", "global.edge.internal", found(...all)],
  ["AAAA", "cdg.edge.internal", found(ip(1))],
  ["AAAA", "NRT.edge.internal", found(ip(2))],
  ["AAAA", "d0000000000002.vm.edge.internal", found(ip(2))],
  ["AAAA", "web.process.edge.internal", found(ip(1))],
  ["AAAA", "main.role.kv._metadata.edge.internal", found(ip(1))],
  ["AAAA", "top1.nearest.of.edge.internal", found(ip(5))],
  ["AAAA", "top2.nearest.of.edge.internal", found(ip(5), ip(1))],
  ["AAAA", "top99.nearest.of.edge.internal", found(ip(5), ip(1), ip(2))],
  // Texts.
  ["TXT", "vms.edge.internal", found("d0000000000001 cdg,d0000000000002 nrt,d0000000000005 lhr")],
  [
    "TXT",
    "all.vms.edge.internal",
    found("d0000000000001 cdg,d0000000000002 nrt,d0000000000003 ams,d0000000000005 lhr"),
  ],
  ["TXT", "regions.edge.internal", found("cdg,lhr,nrt")],
  ["TXT", "all.regions.edge.internal", found("ams,cdg,lhr,nrt")],
  ["TXT", "_apps.internal", found("edge,empty,vms")],
  [
    "TXT",
    "_instances.internal",
    found(
      [
        `instance=d0000000000001,app=edge,ip=${ip(1)},region=cdg`,
        `instance=d0000000000002,app=edge,ip=${ip(2)},region=nrt`,
        `instance=d0000000000005,app=edge,ip=${ip(5)},region=lhr`,
        `instance=d0000000000006,app=vms,ip=${ip(6)},region=cdg`,
      ].join(";"),
    ),
  ],
  ["TXT", "_peer.internal", none],
  // An app that is named as a name of Fly's is an app.
  ["AAAA", "vms.internal", found(ip(6))],
  ["TXT", "vms.vms.internal", found("d0000000000006 cdg")],
  // No machine is there, or none runs.
  ["AAAA", "empty.internal", none],
  ["TXT", "vms.empty.internal", none],
  ["TXT", "regions.empty.internal", none],
  ["AAAA", "ams.edge.internal", none],
  ["AAAA", "fra.edge.internal", none],
  ["AAAA", "d0000000000003.vm.edge.internal", none],
  ["AAAA", "none.process.edge.internal", none],
  ["AAAA", "main.other.kv._metadata.edge.internal", none],
  // Another type.
  ["A", "edge.internal", none],
  ["TXT", "edge.internal", none],
  ["AAAA", "vms.edge.internal", none],
  ["AAAA", "_apps.internal", none],
  ["MX", "edge.internal", none],
  ["ANY", "edge.internal", none],
  // Of another network, or nowhere.
  ["AAAA", "theirs.internal", noName],
  ["TXT", "vms.theirs.internal", noName],
  ["AAAA", "d0000000000009.vm.theirs.internal", noName],
  ["AAAA", "d0000000000009.vm.edge.internal", noName],
  ["AAAA", "d0000000000006.vm.edge.internal", noName],
  ["AAAA", "d0000000000004.vm.edge.internal", noName],
  ["AAAA", "nothing.internal", noName],
  ["A", "nothing.internal", noName],
  ["AAAA", "xyz.edge.internal", noName],
  ["AAAA", "top0.nearest.of.edge.internal", noName],
  ["AAAA", "top-1.nearest.of.edge.internal", noName],
  ["AAAA", "top.nearest.of.edge.internal", noName],
  ["AAAA", "top1e3.nearest.of.edge.internal", noName],
  ["AAAA", "top1.furthest.of.edge.internal", noName],
  ["AAAA", "a.b.c.d.edge.internal", noName],
  ["TXT", "every.vms.edge.internal", noName],
  ["AAAA", "_nothing.internal", noName],
  ["AAAA", "constructor.internal", noName],
  ["AAAA", "internal", none],
  // No names at all.
  ["AAAA", "edge..internal", { code: "FORMERR", records: [] }],
  ["AAAA", ".internal", { code: "FORMERR", records: [] }],
  ["AAAA", `a${long}.internal`, { code: "FORMERR", records: [] }],
  ["AAAA", `${long}.${long}.${long}.${long}.internal`, { code: "FORMERR", records: [] }],
  // Names of others.
  ["AAAA", "example.com", undefined],
  ["AAAA", "internal.example", undefined],
  ["AAAA", "edge.internal.example", undefined],
  ["AAAA", "edge.flycast", undefined],
  ["PTR", "2.0.0.0.ip6.arpa", undefined],
  ["AAAA", "", undefined],
])("%s %s", (type, name, expected) => {
  expect(ask(type, name)).toEqual(expected);
});

test("each network has its own names", () => {
  const there = { network: 2, region: "cdg" };
  expect(ask("TXT", "_apps.internal", there)).toEqual(found("theirs"));
  expect(ask("AAAA", "edge.internal", there)).toEqual(noName);
  expect(ask("TXT", "_instances.internal", there)?.records.join()).not.toContain("edge");
});

test("a client on no network gets nothing of it, but everything else", () => {
  expect(answer({ type: "AAAA", name: "edge.internal" }, undefined, directory)).toEqual({
    code: "REFUSED",
    records: [],
  });
  expect(answer({ type: "AAAA", name: "example.com" }, undefined, directory)).toBeUndefined();
});

test("for any question, only started machines of the client's own network are returned", () => {
  const part = fc.constantFrom(
    "edge",
    "theirs",
    "vm",
    "vms",
    "all",
    "top9",
    "nearest",
    "of",
    "d0000000000009",
    "_apps",
    "",
  );
  fc.assert(
    fc.property(fc.array(fc.oneof(part, fc.string())), fc.constantFrom("AAAA", "A"), (labels, type) => {
      for (const record of ask(type, [...labels, "internal"].join("."))?.records ?? [])
        expect([...all, ip(6)]).toContain(record);
    }),
  );
});

describe("addresses", () => {
  const drawn = ["ffff", "1", "2"];
  const address = (network = { group: 7, number: 2 }, host = "cdg-1") => {
    const left = [...drawn];
    return machineAddress(network, host, () => left.shift() ?? "");
  };

  test("have network, host and machine in them, in Fly's places", () => {
    expect(address()).toMatch(/^fdaa:7:2:a7b:[0-9a-f]{1,4}:1:2:2$/);
    expect(address(undefined, "cdg-2")).not.toBe(address());
    expect(address({ group: 0, number: 1 })).toMatch(/^fdaa:0:1:a7b:/);
  });

  test("are of one range per network", () => {
    expect(rangeOf(address())).toEqual({ name: "7-2", subnet: "fdaa:7:2:a7b::/64", resolver: "fdaa:7:2:a7b::3" });
    for (const other of ["", "fdaa::3", "fe80::1", "::", "203.0.113.1", flycastAddress({ group: 7, number: 2 }, 2)])
      expect(rangeOf(other)).toBeUndefined();
  });

  test("belong to one network, and not to one whose number begins alike", () => {
    expect(isOnNetwork(address(), { group: 7, number: 2 })).toBe(true);
    expect(isOnNetwork(address({ group: 7, number: 0x20 }), { group: 7, number: 2 })).toBe(false);
    expect(isOnNetwork(address(), { group: 0, number: 2 })).toBe(false);
    expect(isOnNetwork("fdaa:1:a3:a7b:1:2:3:2", { group: 0, number: 1 })).toBe(false);
  });

  test("of one stack differ from those of another", () => {
    const groups = Array.from({ length: 100 }, (_, n) => groupOf(`fly-pops-${n}`));
    expect(Math.min(...groups)).toBeGreaterThan(0);
    expect(Math.max(...groups)).toBeLessThan(0x10000);
    expect(new Set(groups).size).toBe(100);
    expect(groupOf("fly-pops-1")).toBe(groups[1]);
  });
});

describe("messages", () => {
  const query = (over: dns.Packet = {}): Buffer =>
    dns.encode({
      type: "query",
      id: 4711,
      flags: dns.RECURSION_DESIRED,
      questions: [{ type: "AAAA", name: "Edge.internal" }],
      ...over,
    });
  const edns = (udpPayloadSize: number): dns.OptAnswer => ({
    type: "OPT",
    name: ".",
    udpPayloadSize,
    extendedRcode: 0,
    ednsVersion: 0,
    flags: 0,
    flag_do: false,
    options: [],
  });
  const reply = (message: Buffer, tell: Answer | undefined = found(ip(1)), tcp = false) => {
    const bytes = respond(message, { tcp }, () => tell);
    return Buffer.isBuffer(bytes) ? { ...dns.decode(bytes), length: bytes.length } : bytes;
  };
  const many = (count: number) => found(...Array.from({ length: count }, (_, n) => ip(n + 1)));

  test("an answer has the question's id and writing, and may be kept for 5 s", () => {
    expect(reply(query())).toMatchObject({
      type: "response",
      id: 4711,
      rcode: "NOERROR",
      flag_aa: true,
      flag_rd: true,
      flag_ra: true,
      flag_tc: false,
      questions: [{ type: "AAAA", name: "Edge.internal", class: "IN" }],
      answers: [{ type: "AAAA", name: "Edge.internal", ttl: 5, data: ip(1) }],
      additionals: [],
    });
  });

  test("a text of any length is one record, of strings of 255 bytes", () => {
    const text = "x".repeat(600);
    const { answers } = reply(
      query({ questions: [{ type: "TXT", name: "_instances.internal" }] }),
      found(text),
      true,
    ) as dns.DecodedPacket;
    expect(answers).toHaveLength(1);
    const data = answers?.flatMap((it) => (it.type === "TXT" ? (it.data as Buffer[]) : [])) ?? [];
    expect(data.map((it) => it.length)).toEqual([255, 255, 90]);
    expect(Buffer.concat(data).toString()).toBe(text);
  });

  test.each([
    ["11 addresses do by UDP", 11, undefined, false, true],
    ["12 do not", 12, undefined, false, false],
    ["12 do by TCP", 12, undefined, true, true],
    ["12 do where the client takes more", 12, 1232, false, true],
    ["1000 do not, whatever it takes", 1000, 65_535, false, false],
    ["1000 do by TCP", 1000, undefined, true, true],
    ["a client that says less than the least is not believed", 11, 100, false, true],
  ])("%s", (_, count, size, tcp, whole) => {
    const got = reply(query(size === undefined ? {} : { additionals: [edns(size)] }), many(count), tcp);
    expect(got).toMatchObject({ flag_tc: !whole, rcode: "NOERROR" });
    expect((got as dns.DecodedPacket).answers).toHaveLength(whole ? count : 0);
    expect((got as dns.DecodedPacket).additionals).toHaveLength(size === undefined ? 0 : 1);
    if (!tcp)
      expect((got as { length: number }).length).toBeLessThanOrEqual(
        size === undefined ? 512 : Math.max(512, Math.min(size, 1232)),
      );
  });

  test.each<[string, Answer, string]>([
    ["a name that is not there", noName, "NXDOMAIN"],
    ["a name without such records", none, "NOERROR"],
    ["an invalid name", { code: "FORMERR", records: [] }, "FORMERR"],
    ["an asker of nowhere", { code: "REFUSED", records: [] }, "REFUSED"],
  ])("%s", (_, tell, rcode) => {
    expect(reply(query(), tell)).toMatchObject({ id: 4711, rcode, answers: [] });
  });

  test("names of others are for others to answer", () => {
    expect(respond(query(), { tcp: false }, () => undefined)).toBe("elsewhere");
  });

  test.each<[string, Buffer, string | undefined]>([
    ["nothing", Buffer.alloc(0), undefined],
    ["less than a head", query().subarray(0, 11), undefined],
    ["an answer", query({ type: "response" }), undefined],
    ["an answer that cannot be read", Buffer.concat([query({ type: "response" }).subarray(0, 20)]), undefined],
    ["a question that is cut", query().subarray(0, 20), "FORMERR"],
    [
      "a name that points to itself",
      Buffer.concat([query().subarray(0, 12), Buffer.from([0xc0, 12, 0, 28, 0, 1])]),
      "FORMERR",
    ],
    ["no question", query({ questions: [] }), "FORMERR"],
    [
      "two",
      query({
        questions: [
          { type: "A", name: "a.internal" },
          { type: "A", name: "b.internal" },
        ],
      }),
      "FORMERR",
    ],
    ["another class", query({ questions: [{ type: "TXT", name: "version.bind", class: "CH" }] }), "NOTIMP"],
    ["an update", query({ flags: 5 << 11 }), "NOTIMP"],
  ])("%s is not asked on", (_, message, rcode) => {
    const bytes = respond(message, { tcp: false }, () => {
      throw new Error("asked");
    });
    if (rcode === undefined) expect(bytes).toBeUndefined();
    else expect(dns.decode(bytes as Buffer)).toMatchObject({ type: "response", id: 4711, rcode, answers: [] });
  });

  test("no message breaks it", () => {
    const mutated = fc
      .tuple(fc.nat(query().length - 1), fc.uint8Array({ maxLength: 40 }))
      .map(([at, bytes]) => Buffer.concat([query().subarray(0, at), bytes]));
    fc.assert(
      fc.property(
        fc.oneof(mutated, fc.uint8Array({ maxLength: 100 }).map(Buffer.from)),
        fc.boolean(),
        (message, tcp) => {
          const bytes = respond(Buffer.from(message), { tcp }, (question) => answer(question, asker, directory));
          if (Buffer.isBuffer(bytes)) expect(dns.decode(bytes).type).toBe("response");
        },
      ),
      { numRuns: 1000 },
    );
  });
});
