/** Small decisions of the local stack: whose listener an address is, which roots a file has. */
import { expect, test } from "vitest";
import { listenerOf } from "../../../local/anycast/anycast.ts";
import { rootsWith } from "../../../local/stack/site-roots.ts";

const listeners = [
  { app: "one", ip: "2001:db8::1", port: 80 },
  { app: "one", ip: "203.0.113.1", port: 80 },
  { app: "two", ip: "203.0.113.2", port: 80 },
  { app: "two", ip: "203.0.113.2", port: 443 },
];

test("a visitor of an anycast address is its app's", () => {
  expect(listenerOf("203.0.113.2:80", listeners)).toBe(listeners[2]);
  expect(listenerOf("203.0.113.1:80", listeners)).toBe(listeners[1]);
});

test("a visitor of the door's own address is the first app's that serves the port", () => {
  expect(listenerOf("172.31.255.100:80", listeners)).toBe(listeners[1]);
  expect(listenerOf("172.31.255.100:443", listeners)).toBe(listeners[3]);
});

test("an address where nothing listens has no listener", () => {
  expect(listenerOf("203.0.113.1:8080", listeners)).toBeUndefined();
  expect(listenerOf("203.0.113.1:80", [])).toBeUndefined();
});

const pem = (name: string) => `-----BEGIN CERTIFICATE-----\n${name}\n-----END CERTIFICATE-----\n`;

test("roots are kept, each once, the newest first", () => {
  expect(rootsWith("", pem("a"))).toBe(pem("a"));
  expect(rootsWith(pem("a"), pem("b"))).toBe(pem("b") + pem("a"));
  expect(rootsWith(pem("b") + pem("a"), pem("b"), pem("a"))).toBe(pem("a") + pem("b"));
  expect(rootsWith(pem("a"), undefined)).toBe(pem("a"));
  expect(rootsWith("", undefined, undefined)).toBe("");
});
