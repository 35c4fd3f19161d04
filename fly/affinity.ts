/**
 * The cookie by which Fly routes a client back to the API server that handled its last write, which knows that write before the others
 * (fly-go keeps it too: flaps.go). One value per path; other cookies are ignored.
 */
const name = "fly_flaps_affinity";

export interface Affinity {
  /** Headers for a request to this path. */
  headers(path: string): Record<string, string>;
  /** @param setCookie the response's Set-Cookie header: one line or several */
  keep(setCookie: unknown): void;
}

export function createAffinity(): Affinity {
  /** Cookie value by the path below which it is sent. */
  const values = new Map<string, string>();
  return {
    headers(path): Record<string, string> {
      for (const [below, value] of values)
        if (path === below || path.startsWith(`${below}/`)) return { Cookie: `${name}=${value}` };
      return {};
    },
    keep(setCookie) {
      for (const line of [setCookie].flat()) {
        if (typeof line !== "string") continue;
        const [pair = "", ...attributes] = line.split(";").map((it) => it.trim());
        const [key, ...value] = pair.split("=");
        const path = attributes
          .find((it) => /^path=/i.test(it))
          ?.slice(5)
          .replace(/\/+$/, "");
        if (key !== name || path === undefined) continue;
        if (value.join("=") === "" || attributes.some((it) => /^max-age=(0|-)/i.test(it))) values.delete(path);
        else values.set(path, value.join("="));
      }
    },
  };
}
