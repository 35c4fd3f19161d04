import fc from "fast-check";
import { expect, test } from "vitest";
import { processCompose } from "../../../../image/render/process-compose.ts";
import { authorizedKeys, sshdConfig } from "../../../../image/render/sshd.ts";
import { attempt, hostile } from "./spec.ts";

const key = `ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAI${"A".repeat(43)}`;

test("password logins and forwarding are off", () => {
  for (const line of [
    "PasswordAuthentication no",
    "KbdInteractiveAuthentication no",
    "X11Forwarding no",
    "GatewayPorts no",
  ])
    expect(sshdConfig).toContain(`${line}\n`);
  expect(sshdConfig).not.toMatch(/ListenAddress/);
});

test("keys are sorted, one per line", () => {
  expect(authorizedKeys({ authorizedKeys: [`${key} b`, `${key} a`] })).toBe(`${key} a\n${key} b\n`);
});

test.each([
  "",
  "ssh-ed25519",
  `command="sh" ${key}`,
  `${key}\nssh-rsa AAAA`,
  `ssh-dss AAAAB3NzaC1kc3MAAACBA${"A".repeat(43)}`,
  "-----BEGIN OPENSSH PRIVATE KEY-----",
])("rejects %j as a key", (line) => {
  expect(() => authorizedKeys({ authorizedKeys: [line] })).toThrow(/not a public key/);
});

test("a key's comment stays on its line", () => {
  fc.assert(
    fc.property(hostile, (comment) => {
      const seen = attempt(() => authorizedKeys({ authorizedKeys: [`${key} ${comment}`] }));
      if (seen !== "refused") expect(seen.split("\n")).toEqual([`${key} ${comment}`, ""]);
    }),
  );
});

test("its server needs a tailnet to listen in", () => {
  expect(() => processCompose({ luggage: {}, ssh: { authorizedKeys: [key] } })).toThrow(/listens in the tailnet/);
});
