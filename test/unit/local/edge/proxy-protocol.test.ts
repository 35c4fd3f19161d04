import fc from "fast-check";
import { expect, test } from "vitest";
import { addressBytes, proxyHeader } from "../../../../local/edge/proxy-protocol.ts";

const v2 = "0d0a0d0a000d0a515549540a"; // the signature, https://www.haproxy.org/download/3.0/doc/proxy-protocol.txt 2.2

test.each([
  ["both v4", "192.0.2.9", "203.0.113.7", `${v2} 21 11 000c c0000209 cb007107 dd5e 01bb`],
  [
    "both v6",
    "2001:db8::1",
    "2001:db8:ffff::7",
    `${v2} 21 21 0024 20010db8000000000000000000000001 20010db8ffff00000000000000000007 dd5e 01bb`,
  ],
  [
    "v4 client, v6 address dialled",
    "192.0.2.9",
    "2001:db8::7",
    `${v2} 21 21 0024 00000000000000000000ffffc0000209 20010db8000000000000000000000007 dd5e 01bb`,
  ],
  [
    "v6 client, v4 address dialled",
    "2001:db8::1",
    "203.0.113.7",
    `${v2} 21 21 0024 20010db8000000000000000000000001 00000000000000000000ffffcb007107 dd5e 01bb`,
  ],
  [
    "v4 client on a dual-stack socket",
    "::ffff:192.0.2.9",
    "203.0.113.7",
    `${v2} 21 11 000c c0000209 cb007107 dd5e 01bb`,
  ],
])("v2, %s", (_, from, to, bytes) => {
  const header = proxyHeader("v2", { address: from, port: 56670 }, { address: to, port: 443 });
  expect(header.toString("hex")).toBe(bytes.replaceAll(" ", ""));
});

test.each([
  ["both v4", "192.0.2.9", "203.0.113.7", "PROXY TCP4 192.0.2.9 203.0.113.7 56670 443\r\n"],
  ["both v6", "2001:db8::1", "2001:db8::7", "PROXY TCP6 2001:db8:0:0:0:0:0:1 2001:db8:0:0:0:0:0:7 56670 443\r\n"],
  ["mixed", "192.0.2.9", "2001:db8::7", "PROXY TCP6 ::ffff:192.0.2.9 2001:db8:0:0:0:0:0:7 56670 443\r\n"],
])("v1, %s", (_, from, to, text) => {
  expect(proxyHeader("v1", { address: from, port: 56670 }, { address: to, port: 443 }).toString()).toBe(text);
});

test.each([
  ["::", "00000000000000000000000000000000"],
  ["::1", "00000000000000000000000000000001"],
  ["1::", "00010000000000000000000000000000"],
  ["1:2:3:4:5:6:7:8", "00010002000300040005000600070008"],
  ["64:ff9b::192.0.2.33", "0064ff9b0000000000000000c0000221"],
  ["::ffff:c000:209", "c0000209"],
  ["fe80::1%eth0", "fe800000000000000000000000000001"],
])("the bytes of %s", (address, hex) => {
  expect(addressBytes(address).toString("hex")).toBe(hex);
});

test.each(["", "localhost", "1.2.3", "1.2.3.256", ":::", "1::2::3"])("%j is not an address", (text) => {
  expect(() => addressBytes(text)).toThrow(RangeError);
});

const endpoint = (address: fc.Arbitrary<string>) => fc.record({ address, port: fc.integer({ min: 0, max: 65535 }) });
const pairs = fc.oneof(
  fc.tuple(endpoint(fc.ipV4()), endpoint(fc.ipV4())),
  fc.tuple(endpoint(fc.ipV6()), endpoint(fc.ipV6())),
  fc.tuple(endpoint(fc.ipV4()), endpoint(fc.ipV6())),
);

test("whatever the endpoints are, a reader of v2 gets them back, and finds the stream right behind", () => {
  fc.assert(
    fc.property(pairs, fc.uint8Array({ maxLength: 32 }), ([source, destination], payload) => {
      const stream = Buffer.concat([proxyHeader("v2", source, destination), payload]);
      const read = readV2(stream);
      expect(read.source).toEqual({ address: canonical(source.address), port: source.port });
      expect(read.destination).toEqual({ address: canonical(destination.address), port: destination.port });
      expect(read.rest).toEqual(Buffer.from(payload));
    }),
  );
});

test("v1 says the same as v2", () => {
  fc.assert(
    fc.property(pairs, ([source, destination]) => {
      const read = readV2(proxyHeader("v2", source, destination));
      const line = proxyHeader("v1", source, destination).toString();
      expect(line.length).toBeLessThanOrEqual(107); // the longest v1 line there may be
      const [word, , from = "", to = "", fromPort, toPort] = line.trimEnd().split(" ");
      expect(word).toBe("PROXY");
      expect([canonical(from), canonical(to)]).toEqual([read.source.address, read.destination.address]);
      expect([Number(fromPort), Number(toPort)]).toEqual([source.port, destination.port]);
    }),
  );
});

/** A reader made from the document alone. Addresses come back in URL spelling, IPv4-mapped ones as IPv4. */
function readV2(stream: Buffer) {
  expect(stream.subarray(0, 12).toString("hex")).toBe(v2);
  expect(stream[12]).toBe(0x21);
  const bytesOfAddress = { 17: 4, 33: 16 }[stream[13] ?? 0];
  if (bytesOfAddress === undefined) throw new Error(`family ${stream[13]}`);
  const length = stream.readUInt16BE(14);
  expect(length).toBe(2 * bytesOfAddress + 4);
  const body = stream.subarray(16, 16 + length);
  const address = (at: number) => {
    const bytes = body.subarray(at, at + bytesOfAddress);
    return canonical(bytesOfAddress === 4 ? bytes.join(".") : (bytes.toString("hex").match(/.{4}/g) ?? []).join(":"));
  };
  return {
    source: { address: address(0), port: body.readUInt16BE(2 * bytesOfAddress) },
    destination: { address: address(bytesOfAddress), port: body.readUInt16BE(2 * bytesOfAddress + 2) },
    rest: stream.subarray(16 + length),
  };
}

/** The URL parser knows how to spell an address, independently of the code under test. */
function canonical(address: string): string {
  const host = new URL(address.includes(":") ? `http://[${address}]/` : `http://${address}/`).hostname;
  const mapped = host.match(/^\[::ffff:(\w+):(\w+)\]$/);
  if (!mapped) return host.replace(/[[\]]/g, "");
  const [high = 0, low = 0] = mapped.slice(1).map((group) => Number.parseInt(group, 16));
  return [high >> 8, high & 255, low >> 8, low & 255].join(".");
}
