import * as pulumi from "@pulumi/pulumi";
import { afterEach, describe, expect, test, vi } from "vitest";
import { readConfig } from "../../../config.ts";

/** Values as the engine hands them over: all of them text. */
function stackConfig(values: Record<string, string>, secrets: string[] = []): void {
  pulumi.runtime.setAllConfig(values, secrets);
  vi.stubEnv("PULUMI_CONFIG_SECRET_KEYS", JSON.stringify(secrets));
}

const least = {
  "fly-pops:app": "my-edge",
  "fly-pops:regions": '{"cdg":null,"ewr":{"replicas":2}}',
  "fly-pops:sites": '[{"host":"www.example.org","origin":"http://web:8080"}]',
};

await pulumi.runtime.setMocks(
  { call: () => ({}), newResource: () => ({ id: "", state: {} }) },
  "fly-pops", // project
  "prod", // stack
);

afterEach(() => {
  vi.unstubAllEnvs();
  pulumi.runtime.setAllConfig({});
});

describe("readConfig", () => {
  test("reads maps, booleans and texts of the project's namespace, and no other", () => {
    stackConfig({ ...least, "fly-pops:protect": "false", "fly:token": "t", "other:app": "x" }, ["fly:token"]);
    const config = readConfig();
    expect(config.pops.map((it) => it.name)).toEqual(["cdg-1", "ewr-1", "ewr-2"]);
    expect(config).toMatchObject({ app: "my-edge", protect: false });
  });

  test("a text that reads like a number stays a text", () => {
    stackConfig({ ...least, "fly-pops:app": "4711" });
    expect(readConfig().app).toBe("4711");
  });

  test("a key with nothing behind it is absent", () => {
    stackConfig({ ...least, "fly-pops:rollout": "", "fly-pops:imageRef": "", "fly-pops:dns": "null" });
    expect(readConfig()).not.toHaveProperty("imageRef");
  });

  test("mistakes end the program as one RunError that names the file: no stack trace for a slip", () => {
    stackConfig({ ...least, "fly-pops:regoins": "x", "fly-pops:protect": "maybe", "fly-pops:cache": "{" });
    const act = () => readConfig();
    expect(act).toThrow(pulumi.RunError);
    expect(act).toThrow(/^Pulumi\.prod\.yaml: 3 errors in the stack's configuration\. Nothing was changed\.\n/);
    expect(act).toThrow(
      '  cache is "{": expected a map with maxSizeMb.\n  protect is "maybe": expected true or false.\n  regoins: unknown key',
    );
  });

  test("a secret is refused by its key, never shown", () => {
    const luggage = '{"blog":{"files":"b","command":["b"],"env":{"TOKEN":"hunter2"}}}';
    stackConfig({ ...least, "fly-pops:luggage": luggage }, ["fly-pops:luggage"]);
    expect(() => readConfig()).toThrow(
      new pulumi.RunError(
        "Pulumi.prod.yaml: 1 error in the stack's configuration. Nothing was changed.\n  luggage is encrypted, but its value would be stored in plain text in the image and in state. Remove it.",
      ),
    );
  });

  test("a secrets file's name that was set as a secret gets an error that says how to set it", () => {
    stackConfig({ ...least, "fly-pops:secretsFile": "./secrets.yaml" }, ["fly-pops:secretsFile"]);
    expect(() => readConfig()).toThrow("npx pulumi config set --plaintext fly-pops:secretsFile ./secrets.yaml");
  });
});
