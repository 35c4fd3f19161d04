/** The real sops: what it makes of our pipes, and what we make of its refusals. */
import { spawnSync } from "node:child_process";
import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import type { Context } from "../../providers/handler.ts";
import { sealedSecretsHandler } from "../../providers/sealed-secrets.ts";
import { recordOf } from "../../setup/go-program.mjs";
import { bundledDir, createSops, findSops } from "../../sops/cli.ts";
import { encryptFor } from "../../sops/encrypt-for.ts";
import { parseSopsFile, pickCiphertexts } from "../../sops/file.ts";
import { marked, recipientsOf } from "../../sops/recipients.ts";
import { editSecrets, readSecretsFile, rekeySecrets } from "../../sops/secrets-file.ts";
import { errorMessage } from "../support/error-message.ts";
import { identityOf } from "../support/identities.ts";
import { createSopsUser, type SopsUser } from "../support/sops-user.ts";

let desk: SopsUser;
let dir: string;
beforeEach(() => {
  desk = createSopsUser();
  dir = mkdtempSync(join(tmpdir(), "fly-pops-sops-"));
});
afterEach(() => {
  desk[Symbol.dispose]();
  rmSync(dir, { recursive: true });
});

const cdg = identityOf("cdg-1").recipient;
const ewr = identityOf("ewr-1").recipient;
const planted = { token: "planted-token-11", other: "planted-other-22" };
async function file(values: Record<string, string> = planted): Promise<string> {
  const path = join(dir, "secrets.yaml");
  writeFileSync(path, await desk.seal(values));
  return path;
}

test("what is sealed comes out as it went in, for its recipient alone", async () => {
  const odd = { a: "x: 'y'\n# z", b: "é€\u0000\t", c: "-----BEGIN X-----\nAA==\n", d: "true", e: "" };
  const text = await encryptFor(odd, cdg, createSops({ env: desk.env }));
  expect(await desk.openAs("cdg-1", text)).toEqual(odd);
  for (const other of ["ewr-1", "the operator"])
    expect(await errorMessage(desk.openAs(other, text))).toMatch(
      /^cannot decrypt the file: none of your keys can decrypt it\. Set SOPS_AGE_KEY_FILE/,
    );
});

test("no setting of the house adds a reader or leaves a value plain", async () => {
  writeFileSync(join(dir, ".sops.yaml"), `creation_rules: [{ encrypted_regex: "^nothing$", age: "${ewr}" }]\n`);
  const env = {
    ...desk.env,
    SOPS_AGE_RECIPIENTS: ewr,
    SOPS_PGP_FP: "85D77543B3D624B63CEA9E6DBC17301B491B3F21",
    SOPS_CONFIG: join(dir, ".sops.yaml"),
  };
  const text = await encryptFor(planted, cdg, createSops({ env }));
  const parsed = parseSopsFile(text);
  expect(parsed.recipients).toEqual([{ kind: "age", id: cdg }]);
  expect(Object.keys(pickCiphertexts(parsed, Object.keys(planted)))).toEqual(["token", "other"]);
  for (const value of Object.values(planted)) expect(text).not.toContain(value);
});

test("a key that sops would leave plain by its name is not shipped", async () => {
  expect(await errorMessage(encryptFor({ token_unencrypted: "planted" }, cdg, createSops({ env: desk.env })))).toBe(
    "the output of sops is not encrypted to the PoP alone. Check the sops on PATH",
  );
});

test.each<[string, (text: string) => string, RegExp]>([
  [
    "another MAC",
    (text) => text.replace(/(mac: ENC\[AES256_GCM,data:)..../, "$1AAAA"),
    /its MAC does not match: it was changed by something other than sops/,
  ],
  ["a value left out", (text) => text.replace(/^other: .*\n/m, ""), /its MAC does not match/],
  [
    "a value that was damaged",
    (text) => text.replace(/^(token: ENC\[AES256_GCM,data:)..../m, "$1AAAA"),
    /a value in it is damaged\. Restore the last good version from git/,
  ],
  [
    "a key that was damaged",
    (text) => text.replace(/-----BEGIN AGE ENCRYPTED FILE-----\n\s+..../, (it) => `${it.slice(0, -4)}AAAA`),
    /none of your keys can decrypt it/,
  ],
])("a file with %s is reported as such, without a word of it", async (_, spoil, expected) => {
  const reported = await errorMessage(desk.openAs("the operator", spoil(await desk.seal(planted))));
  expect(reported).toMatch(/^cannot decrypt the file: /);
  expect(reported).toMatch(expected);
  for (const value of Object.values(planted)) expect(reported).not.toContain(value);
});

test("without sops: which is needed, and where it comes from", async () => {
  expect(await errorMessage(findSops({ PATH: dir }, []))).toBe(
    "sops 3.10 or newer is needed, and there is none on PATH. Install it (https://github.com/getsops/sops/releases), or run: node setup/main.mjs --only sops",
  );
});

test("an old sops is passed over for a newer one behind it, and named when there is none", async () => {
  const old = join(dir, "sops");
  writeFileSync(old, "#!/bin/sh\necho sops 3.9.4\n");
  chmodSync(old, 0o755);
  const { PATH } = desk.env;
  expect(await findSops({ PATH: `${dir}:${PATH}` })).not.toBe(old);
  expect(await errorMessage(findSops({ PATH: dir }, []))).toMatch(
    `sops 3.10 or newer is needed, ${old} is 3.9.4. Install it`,
  );
});

test("a decryption leaves no file behind, and no plaintext in arguments or environment", async () => {
  const spy = join(dir, "bin");
  mkdirSync(spy);
  const real = await findSops(desk.env);
  writeFileSync(join(spy, "sops"), `#!/bin/sh\necho "$@" >>${dir}/seen; env >>${dir}/seen; exec ${real} "$@"\n`);
  chmodSync(join(spy, "sops"), 0o755);
  const text = await desk.seal(planted);
  const sops = createSops({ env: { ...desk.env, PATH: `${spy}:${process.env.PATH}` } });
  const values = await sops.decrypt(text, "the file");
  await sops.encrypt(values as Record<string, string>, cdg);
  const seen = readFileSync(join(dir, "seen"), "utf8");
  expect(seen).toContain("decrypt");
  expect(seen).toContain("encrypt");
  for (const value of Object.values(planted)) expect(seen).not.toContain(value);
  expect(readdirSync(dir).toSorted()).toEqual(["bin", "seen"]);
});

test("sealing is done again for another value, recipient or wish, and not without one", async () => {
  const path = await file();
  const sops = createSops({ env: desk.env });
  const calls: string[] = [];
  const context = {
    log: () => undefined,
    sops: {
      decrypt(text: string, name: string) {
        calls.push("decrypt");
        return sops.decrypt(text, name);
      },
      encrypt(values: Record<string, string>, to: string) {
        calls.push("encrypt");
        return sops.encrypt(values, to);
      },
    },
  } as unknown as Context;
  const wish = (...keys: string[]) => pickCiphertexts(readSecretsFile(path).parsed, keys);
  const inputs = { pop: "cdg-1", file: path, ciphertexts: wish("token"), recipient: cdg };
  const { id, outs } = await sealedSecretsHandler.create(inputs, context);
  expect(await desk.openAs("cdg-1", outs.sealed)).toEqual({ token: planted.token });

  calls.length = 0;
  expect((await sealedSecretsHandler.update(id, outs, { ...inputs, pop: "cdg-9" }, context)).sealed).toBe(outs.sealed);
  expect(calls).toEqual([]);
  const wider = await sealedSecretsHandler.update(
    id,
    outs,
    { ...inputs, ciphertexts: wish("token", "other") },
    context,
  );
  expect(await desk.openAs("cdg-1", wider.sealed)).toEqual(planted);
  const moved = await sealedSecretsHandler.update(id, wider, { ...inputs, recipient: ewr }, context);
  expect(await desk.openAs("ewr-1", moved.sealed)).toEqual({ token: planted.token });
  expect(await errorMessage(desk.openAs("cdg-1", moved.sealed))).toMatch(/none of your keys can decrypt it/);

  await desk.set(path, "token", "planted-token-33");
  expect(await errorMessage(sealedSecretsHandler.update(id, outs, { ...inputs, recipient: ewr }, context))).toMatch(
    /^cdg-1: no secrets were encrypted: \S+ was changed while this ran\. The PoP keeps the secrets it has\. Run again\.$/,
  );
});

test("a file that names the PoP goes there as it is, without a key and without sops", async () => {
  const path = await file();
  await rekeySecrets(path, { stack: "test", pops: { "cdg-1": cdg }, namePops: true }, desk.env);
  const { text, parsed } = readSecretsFile(path);
  const lines: string[] = [];
  const context = {
    log: (line: string) => lines.push(line),
    sops: createSops({ env: {}, extraDirs: [] }),
  } as unknown as Context;
  const inputs = { pop: "cdg-1", file: path, ciphertexts: pickCiphertexts(parsed, ["token"]), recipient: cdg };
  expect((await sealedSecretsHandler.create(inputs, context)).outs.sealed).toBe(text);
  expect(await desk.openAs("cdg-1", text)).toEqual(planted);
});

test("rekeying adds and removes recipients, in one group; a removed one cannot decrypt later versions", async () => {
  const path = await file();
  const before = readFileSync(path, "utf8");
  const pops = { "cdg-1": cdg, "ewr-1": ewr };
  expect(await rekeySecrets(path, { stack: "test", pops, namePops: true }, desk.env)).toEqual({
    add: [marked(cdg, "test", "cdg-1"), marked(ewr, "test", "ewr-1")].toSorted(),
    remove: [],
  });
  const both = readSecretsFile(path);
  expect(recipientsOf(both.parsed, { stack: "test", pops }).map(({ pop }) => pop)).toEqual([
    undefined,
    "cdg-1",
    "ewr-1",
  ]);
  expect(await desk.openAs("ewr-1", both.text)).toEqual(planted);
  expect(pickCiphertexts(both.parsed, ["token"])).not.toEqual(pickCiphertexts(parseSopsFile(before), ["token"]));

  const less = { stack: "test", pops: { "cdg-1": cdg }, namePops: true };
  await rekeySecrets(path, less, desk.env);
  const one = readFileSync(path, "utf8");
  expect(await desk.openAs("cdg-1", one)).toEqual(planted);
  expect(await errorMessage(desk.openAs("ewr-1", one))).toMatch(/none of your keys can decrypt it/);
  expect(await rekeySecrets(path, less, desk.env)).toEqual({ add: [], remove: [] });
  expect(readFileSync(path, "utf8")).toBe(one);
});

test("rekeying refuses to leave no recipient, and says when no key opens the file: nothing is changed", async () => {
  const path = await file();
  const before = readFileSync(path, "utf8");
  expect(await errorMessage(rekeySecrets(path, { stack: "test", pops: {}, remove: [desk.recipient] }, desk.env))).toBe(
    `${path}: no recipient would be left who can decrypt it. Nothing was changed. Add a recipient first.`,
  );
  const keyless = { PATH: process.env.PATH, HOME: dir };
  expect(
    await errorMessage(rekeySecrets(path, { stack: "test", pops: { "cdg-1": cdg }, namePops: true }, keyless)),
  ).toBe(
    `${path}: not rekeyed: none of your keys can decrypt it. Set SOPS_AGE_KEY_FILE, or the equivalent for your key type. Nothing was changed.`,
  );
  expect(readFileSync(path, "utf8")).toBe(before);
});

test("an edit goes through the operator's editor, and says whether something changed", async () => {
  const path = await file();
  const editor = (script: string) => {
    writeFileSync(join(dir, "editor"), `#!/bin/sh\n${script}\n`);
    chmodSync(join(dir, "editor"), 0o755);
    return { ...desk.env, EDITOR: join(dir, "editor"), SOPS_EDITOR: "" };
  };
  expect(await editSecrets(path, editor("true"))).toBe("unchanged");
  expect(await editSecrets(path, editor('sed -i s/planted-token-11/planted-token-44/ "$1"'))).toBe("changed");
  expect(await desk.openAs("the operator", readFileSync(path, "utf8"))).toMatchObject({ token: "planted-token-44" });
});

test.each<[string, string | undefined, RegExp]>([
  ["not there", undefined, /^\S+: no such file\. Make it with: npx fly-pops secrets edit$/],
  ["plain", "a: hunter2\n", /^\S+ is not encrypted: it has no sops metadata\. Treat its contents as leaked\.$/],
  [
    "split among groups",
    "a: b\nsops: { key_groups: [{}, {}, {}] }\n",
    /^\S+ has 3 key groups, each with only a part of the key \(Shamir\)/,
  ],
])("a file that is %s is refused before sops is asked", async (_, text, expected) => {
  const path = join(dir, "secrets.yaml");
  if (text !== undefined) writeFileSync(path, text);
  expect(await errorMessage(rekeySecrets(path, { stack: "test", pops: {}, namePops: true }, { PATH: "" }))).toMatch(
    expected,
  );
  expect(
    await errorMessage(rekeySecrets(path, { stack: "test", pops: {}, namePops: true }, { PATH: "" })),
  ).not.toContain("hunter2");
  if (text !== undefined) expect(await errorMessage(editSecrets(path, { PATH: "" }))).toMatch(expected);
});

const compiled = existsSync(recordOf(join(bundledDir, "sops")));
describe.skipIf(!compiled)("the sops that setup compiled", () => {
  const sops = (args: string[], env: NodeJS.ProcessEnv) =>
    spawnSync(join(bundledDir, "sops"), args, {
      encoding: "utf8",
      env: { HOME: dir, PATH: process.env.PATH, ...env },
    });
  const kinds = {
    kms: [{ arn: "arn:aws:kms:eu-west-1:1:key/a", created_at: "2026-01-01T00:00:00Z", enc: "x", aws_profile: "" }],
    gcp_kms: [{ resource_id: "projects/a", created_at: "2026-01-01T00:00:00Z", enc: "x" }],
    azure_kv: [{ vault_url: "https://a", name: "b", version: "c", created_at: "2026-01-01T00:00:00Z", enc: "x" }],
  };
  async function withClouds(): Promise<string> {
    const path = await file();
    const text = readFileSync(path, "utf8");
    const entries = Object.entries(kinds).map(([kind, keys]) => `    ${kind}: ${JSON.stringify(keys)}\n`);
    writeFileSync(path, text.replace(/^sops:\n/m, `sops:\n${entries.join("")}`));
    return path;
  }

  test("opens and changes a file that keys in clouds open too, and keeps them in it", async () => {
    const path = await withClouds();
    expect(sops(["set", path, '["token"]', '"planted-token-55"'], desk.env)).toMatchObject({ status: 0 });
    const text = readFileSync(path, "utf8");
    for (const id of ["arn:aws:kms:eu-west-1:1:key/a", "projects/a", "https://a"]) expect(text).toContain(id);
    expect(await desk.openAs("the operator", text)).toMatchObject({ token: "planted-token-55" });
  });

  test("says of each kind that was left out that it was, where no other key opens the file", async () => {
    const { status, stderr } = sops(["decrypt", await withClouds()], {});
    expect(status).not.toBe(0);
    for (const name of ["AWS KMS", "Google Cloud KMS", "Azure Key Vault"])
      expect(stderr.replace(/\s*\|?\s+/g, " ")).toContain(
        `${name} keys were left out of the sops that fly-pops compiled`,
      );
  });

  test("makes no file for a key that was left out", () => {
    writeFileSync(join(dir, "plain.yaml"), "a: b\n");
    for (const [flag, key, name] of [
      ["--kms", "arn:aws:kms:eu-west-1:1:key/a", "AWS KMS"],
      ["--gcp-kms", "projects/a/locations/b/keyRings/c/cryptoKeys/d", "Google Cloud KMS"],
      ["--azure-kv", "https://a.vault.azure.net/keys/b/c", "Azure Key Vault"],
      ["--hckms", "eu:12345678-1234-1234-1234-123456789012", "HuaweiCloud KMS"],
    ] as const) {
      const { status, stdout, stderr } = sops(["encrypt", flag, key, join(dir, "plain.yaml")], {});
      expect({ status: status !== 0, stdout }).toEqual({ status: true, stdout: "" });
      expect(stderr).toContain(`${name} keys were left out of the sops that fly-pops compiled; the release has them: `);
    }
  });
});
