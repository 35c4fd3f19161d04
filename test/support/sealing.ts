/** A sops that seals nothing: for tests of what is done with sealed files, not of what is in them. Those of the real one are in test/engine/sops.test.ts. */

import type { Sops } from "../../sops/cli.ts";
import type { ControlServer, Device, TailnetApi } from "../../tailnet/tailnet-api.ts";

export const enc = (text: string): string =>
  `ENC[AES256_GCM,data:${Buffer.from(text).toString("base64")},iv:aXY=,tag:dGFn,type:str]`;

export const sopsText = (values: Record<string, string>, recipients: string[]): string =>
  [
    ...Object.entries(values).map(([key, value]) => `${key}: ${enc(value)}`),
    "sops:",
    "    age:",
    ...recipients.flatMap((it) => [`        - recipient: ${it}`, "          enc: x"]),
    "",
  ].join("\n");

export const openSops: Sops = {
  decrypt: async (text) =>
    Object.fromEntries(
      [...text.matchAll(/^(\w+): ENC\[AES256_GCM,data:([^,]*),/gm)].map(([, key = "", data = ""]) => [
        key,
        Buffer.from(data, "base64").toString(),
      ]),
    ),
  encrypt: async (values, recipient) => sopsText(values, [recipient]),
};

/** A control server in memory. */
export function memoryTailnet() {
  const calls: string[] = [];
  const devices: Device[] = [];
  const alive = new Set<string>();
  let count = 0;
  const driver = ({ driver: name }: ControlServer): TailnetApi => ({
    async mint({ tags }) {
      const id = `k${++count}`;
      calls.push(`${name} mint ${tags.join(",")}`);
      alive.add(id);
      return { id, key: `planted-auth-key-${id}`, expires: "2026-01-01T01:00:00Z" };
    },
    async revoke(id) {
      calls.push(`${name} revoke ${id}`);
      alive.delete(id);
    },
    async devices() {
      calls.push(`${name} devices`);
      return devices;
    },
    async removeDevice(id) {
      calls.push(`${name} remove ${id}`);
      devices.splice(0, devices.length, ...devices.filter((it) => it.id !== id));
    },
  });
  return { driver, calls, devices, alive };
}
