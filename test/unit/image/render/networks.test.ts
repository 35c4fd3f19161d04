import { BlockList, isIP } from "node:net";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { isAgent, maxNetworks, parseNetwork, parseNetworks } from "../../../../image/render/networks.ts";

test.each([
  ["203.0.113.7", "203.0.113.7/32"],
  ["203.0.113.7/24", "203.0.113.0/24"],
  ["203.0.113.7/0", "0.0.0.0/0"],
  ["10.255.255.255/9", "10.128.0.0/9"],
  ["2001:DB8:0:0::1", "2001:db8::1/128"],
  ["2001:db8:ffff::1/33", "2001:db8:8000::/33"],
  ["::/0", "::/0"],
  ["::ffff:192.0.2.1", "192.0.2.1/32"],
  ["::ffff:192.0.2.1/120", "192.0.2.0/24"],
  ["1:2:3:4:5:6:7:8/127", "1:2:3:4:5:6:7:8/127"],
])("%s is %s", (text, spelt) => {
  expect(parseNetwork(text)).toBe(spelt);
});

test.each([
  ...[
    "",
    "home",
    "203.0.113",
    "203.0.113.256",
    "203.0.113.07",
    "203.0.113.7/33",
    "203.0.113.7/",
    "203.0.113.7/024",
    "1/2/3",
  ],
  ...[
    "2001:db8::/129",
    "fe80::1%eth0",
    "::ffff:192.0.2.1/64",
    "[::1]",
    "203.0.113.7;",
    "203.0.113.7/8 1; }",
    " 203.0.113.7",
    "0.0.0.0/0\n",
  ],
])("%j is not a network", (text) => {
  expect(parseNetwork(text)).toBeUndefined();
});

test("the network of an address has it, and is spelt as it is spelt again", () => {
  const of = (address: fc.Arbitrary<string>, most: number) => fc.tuple(address, fc.integer({ min: 0, max: most }));
  fc.assert(
    fc.property(fc.oneof(of(fc.ipV4(), 32), of(fc.ipV6(), 128)), ([address, bits]) => {
      const spelt = parseNetwork(`${address}/${bits}`);
      if (spelt === undefined) return; // an IPv4 address written as IPv6, with fewer bits than that has
      expect(parseNetwork(spelt)).toBe(spelt);
      const [base = "", size] = spelt.split("/");
      const family = isIP(base) === 6 ? "ipv6" : "ipv4";
      const list = new BlockList();
      list.addSubnet(base, Number(size), family);
      if (isIP(address) === isIP(base)) expect(list.check(address, family)).toBe(true);
    }),
  );
});

describe("a list", () => {
  const read = (text: string) => parseNetworks(text, "bad.txt");

  test("has one a line, comments of both kinds, and each once", () => {
    expect(
      read("# bad\n203.0.113.7 # me\r\n\n1.10.16.0/20 ; SBL256894\n203.0.113.7/32\n  2001:db8::/32\t\n; end"),
    ).toEqual(["1.10.16.0/20", "2001:db8::/32", "203.0.113.7/32"]);
  });

  test.each([
    [
      "203.0.113.7\n\nhome",
      'bad.txt: line 3 is "home": takes an address or a network, as in 203.0.113.7 or 2001:db8::/32.',
    ],
    ["203.0.113.7 1;", "/32"],
    ["# nothing\n", "bad.txt: has no address or network."],
    [
      Array.from({ length: maxNetworks + 1 }, (_, at) => `10.${at >> 16}.${(at >> 8) & 255}.${at & 255}`).join("\n"),
      `bad.txt: has more than ${maxNetworks} networks, which would use too much of a PoP's memory.`,
    ],
  ])("%#", (text, sentence) => {
    if (sentence.startsWith("/")) expect(() => read(text)).toThrow('line 1 is "203.0.113.7 1"');
    else expect(() => read(text)).toThrow(sentence);
  });
});

test.each([
  "GPTBot",
  "python-requests/2.31",
  "Mozilla/5.0 (compatible; AhrefsBot/7.0; +http://ahrefs.com/robot/)",
  "abc",
])("%s is part of a User-Agent", (text) => {
  expect(isAgent(text)).toBe(true);
});
test.each(["", "ab", " GPTBot", "GPT$Bot", 'GPT"Bot', "GPT\\Bot", "GPT{Bot", "GPT\nBot", "b".repeat(101), "Bot "])(
  "%j is not",
  (text) => {
    expect(isAgent(text)).toBe(false);
  },
);
