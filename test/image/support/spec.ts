import type { ImageSpec } from "../../../image/spec.ts";

/** The network of these tests: within the range nginx believes a PROXY header from, with an address for the origin that can stand in an image. */
export const network = {
  name: "fly-pops-image-test",
  subnet: "172.31.213.0/24",
  gateway: "172.31.213.1",
  origin: "172.31.213.10",
};

export const originName = "origin.homelab.test";

/** One site of every kind, and every kind of origin. */
export const spec: ImageSpec = {
  sites: [
    site("www.example.test", `http://${originName}:8080`),
    site("short.example.test", `http://${originName}:8080`, { maxAgeSeconds: 1, staleForSeconds: 60 }),
    site("strict.example.test", `http://${originName}:8080`, { maxAgeSeconds: 0, staleForSeconds: 0 }),
    site("address.example.test", `http://${network.origin}:8080`),
    site("secure.example.test", `https://${originName}:8443`),
    site("gone.example.test", "http://nobody.homelab.test"),
    { kind: "redirect", host: "example.test", to: "https://www.example.test" },
    { kind: "files", host: "files.example.test", dir: "site" },
    { kind: "luggage", host: "blog.example.test", luggage: "blog" },
  ],
  luggage: {
    blog: {
      source: { kind: "files", dir: "blog" },
      command: ["serve", "-f", "-p"],
      env: { GREETING: "it's $HOME {{ .x }}" },
      port: 9000,
    },
  },
  dns: { forward: [{ zone: "homelab.test", servers: ["127.0.0.11"] }] },
  cache: { maxSizeMb: 64 },
};

function site(host: string, origin: string, cache = { maxAgeSeconds: 600, staleForSeconds: 3600 }) {
  return { kind: "proxy", host, origin, cache } as const;
}
