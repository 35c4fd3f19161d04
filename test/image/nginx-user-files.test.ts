/** The user's own nginx configuration: included where the stack file says, and if nginx rejects it, the build fails with the user's file and line. */
import { afterAll, beforeAll, expect, test } from "vitest";
import type { ImageSpec } from "../../image/spec.ts";
import { https } from "./support/client.ts";
import { build, ImageHarness, type Pop, untilHealthy } from "./support/pop.ts";

const harness = new ImageHarness("nginx-user-files");
let pop: Pop;

const spec: ImageSpec = {
  sites: [
    { kind: "files", host: "www.test", dir: "site" },
    { kind: "files", host: "other.test", dir: "site" },
  ],
  luggage: {},
  dns: { forward: [] },
  cache: { maxSizeMb: 64, indexMb: 1 },
};

beforeAll(async () => {
  await harness.sweep();
  const image = await build("nginx-user-files", {
    ...spec,
    nginx: { http: "nginx/http.conf", sites: { "www.test": "nginx/www.conf" } },
  });
  pop = await harness.start(image, { volume: await harness.newVolume() });
  await untilHealthy(pop);
});
afterAll(() => harness.sweep());

const get = async (host: string, path: string, client?: string) => {
  const { status, body } = await https({ port: pop.https, host, path, ...(client !== undefined && { client }) });
  return [status, body];
};

test("is served in its site only, in addition to the site's content", async () => {
  expect(await get("www.test", "/whoami")).toEqual([200, "office: yes\n"]);
  expect(await get("www.test", "/whoami", "198.51.100.9")).toEqual([200, "office: no\n"]);
  expect(await get("www.test", "/about")).toEqual([200, "about\n"]);
  expect((await get("other.test", "/whoami"))[0]).toBe(404);
});

test.each([
  [{ http: "nginx/broken.conf", sites: {} }, 'unknown directive "locaton"', "nginx/broken.conf:2"],
  [{ sites: { "www.test": "nginx/broken.conf" } }, 'unknown directive "locaton"', "nginx/broken.conf:2"],
  [{ sites: { "www.test": "nginx/twice.conf" } }, 'duplicate location "/"', "nginx/twice.conf:3"],
])("%j fails the build, with the error, line and file", async (nginx, what, where) => {
  const lines: string[] = [];
  const failed = await build(
    "nginx-own-broken",
    { ...spec, nginx },
    { target: "check", log: (line) => lines.push(line) },
  ).then(
    () => "built",
    (error: Error) => `${error.message}\n${lines.join("\n")}`,
  );
  expect(failed).toContain(`nginx rejects this configuration: ${what} in ${where}`);
});
