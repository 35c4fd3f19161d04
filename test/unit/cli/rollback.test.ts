import { describe, expect, test } from "vitest";
import type { History, RecordedRelease, Release } from "../../../cli/history.ts";
import { releaseDiff } from "../../../cli/release-diff.ts";
import {
  currentFileNotes,
  losses,
  releaseBefore,
  rollbackConfig,
  rollbackImage,
  rollbackMessage,
} from "../../../cli/rollback.ts";
import { parseConfig } from "../../../config/parse.ts";
import type { Plan } from "../../../preview/plan.ts";
import { image } from "../../support/context.ts";

const release = (
  number: number,
  over: Partial<Release> = {},
  config: Record<string, unknown> = {},
): RecordedRelease => ({
  release: {
    number,
    kind: "update",
    startedAt: "2026-11-01T00:00:00Z",
    result: "succeeded",
    message: "",
    commit: null,
    dirty: false,
    image: image(number),
    changes: {},
    ...over,
  },
  config,
});

const history = (...releases: RecordedRelease[]): History => ({ releases, running: undefined });

describe("the release before what is deployed", () => {
  const numberOf = (...releases: RecordedRelease[]) => releaseBefore(history(...releases), "prod").release.number;

  test.each<[string, RecordedRelease[], number]>([
    ["the last but one", [release(1), release(2), release(3)], 2],
    ["the last one, where the newest failed", [release(1), release(2), release(3, { result: "failed" })], 2],
    ["not one that failed", [release(1), release(2, { result: "failed" }), release(3)], 1],
    ["not a destroy", [release(1), release(2, { kind: "destroy", image: null }), release(3)], 1],
  ])("is %s", (_, releases, expected) => {
    expect(numberOf(...releases)).toBe(expected);
  });

  test.each<[string, RecordedRelease[], string]>([
    ["there is no release", [], "Stack prod has no release in this backend."],
    ["there is one alone", [release(1)], "Stack prod has no release before 1 that succeeded."],
    ["all is taken away", [release(1), release(2, { kind: "destroy" })], "Release 2 destroyed the stack"],
    [
      "the newest is a rollback, and the one before it was rolled back",
      [release(1), release(2), release(3, { message: rollbackMessage(release(1).release) })],
      "Release 3 is itself a rollback, to release 1",
    ],
  ])("is not guessed where %s", (_, releases, expected) => {
    expect(() => numberOf(...releases)).toThrow(expected);
  });
});

test.each<[Partial<Release>, string]>([
  [{ result: "failed" }, "Release 7 itself failed. Nothing was changed."],
  [{ result: "in-progress" }, "Release 7 itself is in-progress. Nothing was changed."],
  [{ image: null, commit: "abc" }, "Check out commit abc and deploy it: npx pulumi up"],
  [{ kind: "destroy" }, "Release 7 destroyed the stack, so it has nothing to deploy."],
])("a release with %j is refused", (over, expected) => {
  expect(() => rollbackImage(release(7, over).release)).toThrow(expected);
});

describe("what is deployed and what a stack file says the same by", () => {
  const current = { app: "my-edge", regions: { cdg: {}, nrt: {} } };
  const old = { app: "my-edge", regions: { cdg: {} }, protect: true, debugTools: false };
  const defaults = { protect: true, debugTools: false };
  const wanted = (over: Partial<Parameters<typeof rollbackConfig>[0]>) =>
    rollbackConfig({
      release: release(1, {}, old),
      image: image(1),
      running: { since: 0, image: image(2), context: "c2" },
      current,
      defaults,
      imageOnly: false,
      ...over,
    });

  test("another image is pinned in both; what Pulumi.yaml says anyway is not written", () => {
    const keys = { "fly-pops:app": "my-edge", "fly-pops:regions": { cdg: {} }, "fly-pops:imageRef": image(1) };
    expect(wanted({})).toEqual({ deployed: keys, written: keys, otherImage: true });
  });

  test("the image alone leaves all else as the stack file has it", () => {
    expect(wanted({ imageOnly: true }).deployed).toEqual({
      "fly-pops:app": "my-edge",
      "fly-pops:regions": { cdg: {}, nrt: {} },
      "fly-pops:imageRef": image(1),
    });
  });

  test("the image that runs is not built again, goes on to be expected, and is not pinned in the file", () => {
    const { deployed, written, otherImage } = wanted({ running: { since: 0, image: image(1), context: "c1" } });
    expect(otherImage).toBe(false);
    expect(deployed).toMatchObject({ "fly-pops:imageRef": image(1), "fly-pops-preview:context": "c1" });
    expect(Object.keys(written)).toEqual(["fly-pops:app", "fly-pops:regions"]);
  });

  test("one that the release itself had pinned stays pinned", () => {
    const pinned = release(1, {}, { ...old, imageRef: image(1) });
    const { deployed, written } = wanted({
      release: pinned,
      running: { since: 0, image: image(1), context: undefined },
    });
    expect(written).toMatchObject({ "fly-pops:imageRef": image(1) });
    expect(deployed).toEqual(written);
  });
});

test("sites that serve now and would not afterwards are reported, and nothing else", () => {
  const plan = {
    pops: [
      { name: "nrt-1", action: "removed", why: [] },
      { name: "cdg-1", action: "replaced", why: [] },
      { name: "ewr-1", action: "restarts", why: [] },
      { name: "fra-1", action: "new", why: [] },
    ],
    others: [
      { kind: "Address", name: "edge-v4", op: "delete", why: [] },
      { kind: "Address", name: "edge-v6", op: "create", why: [] },
      { kind: "AuthKey", name: "edge-nrt-1-auth-key", op: "delete", why: [] },
      { kind: "App", name: "edge-app", op: "replace", why: [] },
    ],
  } as unknown as Plan;
  expect(losses(plan)).toEqual(["remove nrt-1", "destroy and recreate cdg-1", "release address v4", "delete the app"]);
  expect(losses({ ...plan, pops: [], others: [] })).toEqual([]);
});

describe("files", () => {
  const file = {
    app: "my-edge",
    regions: { cdg: {} },
    sites: [
      { host: "a.test", files: "./site" },
      { host: "b.test", origin: "https://b", tls: { ca: "ca.pem" } },
    ],
  };

  test("that a release does not bring back are named", () => {
    const secrets = { secretsFile: "secrets.yaml", certificates: { vault: { address: "https://vault.test" } } };
    expect(currentFileNotes(parseConfig({ ...file, ...secrets }), 4)).toEqual([
      "These files are used as they are in this checkout now, not as they were at that release: secrets.yaml.",
      "These files are in the image as they were at release 4; the next build packs their current versions: site, ca.pem.",
    ]);
  });

  test("of lists and of nginx are named too", () => {
    const sites = [{ host: "b.test", origin: "https://b", access: { deny: ["./lists/bad.txt", "192.0.2.1"] } }];
    const nginx = { http: "./own.conf", sites: { "b.test": "./b.conf" } };
    expect(currentFileNotes(parseConfig({ ...file, sites, nginx }), 4)).toEqual([
      "These files are in the image as they were at release 4; the next build packs their current versions: lists/bad.txt, own.conf, b.conf.",
    ]);
  });

  test("are absent if the stack file names none", () => {
    expect(
      currentFileNotes(parseConfig({ ...file, sites: [{ host: "a.test", redirect: "https://b.test" }] }), 4),
    ).toEqual([]);
  });
});

describe("two releases", () => {
  const config = (origin: string) => ({
    app: "my-edge",
    regions: { cdg: {} },
    sites: [{ host: "www.example.org", origin }],
  });

  test("differ in configuration and in what is rendered from it", () => {
    const diff = releaseDiff(release(1, {}, config("http://a:80")), release(2, { dirty: true }, config("http://b:80")));
    expect(diff).toMatchObject({
      from: 1,
      to: 2,
      image: { before: image(1), after: image(2) },
      config: { keys: ["sites"] },
    });
    expect(diff.config?.patch).toContain("-    origin: http://a:80\n+    origin: http://b:80");
    expect(diff.files.map(({ path }) => path)).toContain("/etc/nginx/nginx.conf");
    expect(diff.notes).toEqual([
      "Files are rendered by this checkout from both configurations.",
      "Release 2 was deployed from a working tree with changes that are not in commit ?.",
    ]);
  });

  test("of the same differ in nothing", () => {
    const same = config("http://a:80");
    expect(releaseDiff(release(1, {}, same), release(1, {}, same))).toEqual({ from: 1, to: 1, files: [], notes: [] });
  });

  test("one of which is refused by now are compared by their configuration alone", () => {
    const {
      config: changed,
      files,
      notes,
    } = releaseDiff(release(1, {}, { app: "x", gone: 1 }), release(2, {}, config("http://a:80")));
    expect(changed?.keys).toContain("gone");
    expect(files).toEqual([]);
    expect(notes[0]).toMatch(/^Rendered files cannot be compared: the configuration of release 1 is refused/);
  });
});
