import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { parse } from "yaml";
import { withConfig } from "../../cli/stack-file-edit.ts";

describe("a stack file that is edited", () => {
  const file = `# of ours
encryptionsalt: v1:salt
config:
  fly:token:
    secure: v1:cipher
  fly-pops:app: my-edge # one name
  # Paris
  fly-pops:regions:
    cdg: {}
  fly-pops:debugTools: true
`;

  test("has the keys of a release, others of ours are gone, all else is as it was", () => {
    const text = withConfig(file, {
      "fly-pops:app": "my-edge",
      "fly-pops:regions": { ewr: {} },
      "fly-pops:imageRef": "i@d",
    });
    expect(text).toBe(`# of ours
encryptionsalt: v1:salt
config:
  fly:token:
    secure: v1:cipher
  fly-pops:app: my-edge # one name
  # Paris
  fly-pops:regions:
    ewr: {}
  fly-pops:imageRef: i@d
`);
  });

  test("is not touched where it says the same, in whatever order and as whatever text", () => {
    const same = { "fly-pops:debugTools": true, "fly-pops:app": "my-edge", "fly-pops:regions": { cdg: {} } };
    expect(withConfig(file, same)).toBe(file);
    const asTexts = file.replace("debugTools: true", 'debugTools: "true"').replace("\n    cdg: {}", " '{\"cdg\":{}}'");
    expect(withConfig(asTexts, same)).toBe(asTexts);
  });

  const example = readFileSync(join(import.meta.dirname, "..", "..", "Pulumi.prod.yaml"), "utf8");
  const { config } = parse(example) as { config: Record<string, unknown> };
  /** As Pulumi's history has it: keys of maps sorted. */
  const sorted = (value: unknown): unknown => {
    if (Array.isArray(value)) return value.map(sorted);
    if (typeof value !== "object" || value === null) return value;
    return Object.fromEntries(
      Object.entries(value)
        .toSorted()
        .map(([key, it]) => [key, sorted(it)]),
    );
  };
  const changed = (lines: string, text: string) => text.split("\n").filter((line) => !lines.split("\n").includes(line));

  test("keeps the example's comments, order and flow maps", () => {
    expect(withConfig(example, sorted(config) as Record<string, unknown>)).toBe(example);
  });

  test("changes one line for one number, however deep", () => {
    const wanted = structuredClone(config) as { "fly-pops:regions": { ewr: { memoryMb: number } } };
    wanted["fly-pops:regions"].ewr.memoryMb = 1024;
    const text = withConfig(example, sorted(wanted) as Record<string, unknown>);
    expect(changed(example, text)).toEqual(["    ewr: {replicas: 2, memoryMb: 1024}"]);
    expect(text.split("\n")).toHaveLength(example.split("\n").length);
  });

  test("an item of a list that changed, went or came leaves the others as they are", () => {
    const sites = config["fly-pops:sites"] as Record<string, unknown>[];
    const [first, second] = sites;
    const moved = withConfig(example, { ...config, "fly-pops:sites": [{ ...first, origin: "https://other" }, second] });
    expect(changed(example, moved)).toEqual([
      '    - {host: www.example.org, origin: "https://other", cache: {maxAge: 10m}}',
    ]);
    const more = withConfig(example, {
      ...config,
      "fly-pops:sites": [first, { host: "b.test", files: "./b" }, second],
    });
    expect(changed(example, more)).toEqual(["    - {host: b.test, files: ./b}"]);
    expect(more).toContain("# Passed on to your web server");
    const less = withConfig(example, { ...config, "fly-pops:sites": [first] });
    expect(changed(less, example)).toEqual(['    - {host: example.org, redirect: "https://www.example.org"}']);
    expect(changed(example, less)).toEqual([]);
  });

  test("keeps a layout of its own on lines that nothing happens to", () => {
    const odd =
      'config:\n  fly-pops:app:   "my-edge"   # two blanks\n  fly-pops:addresses: [v6]\n  fly-pops:defaults: { memoryMb: 256 }\n\n\n  fly-pops:egressGb: 1\n';
    expect(
      withConfig(odd, {
        "fly-pops:app": "my-edge",
        "fly-pops:addresses": ["v6"],
        "fly-pops:defaults": { memoryMb: 512 },
        "fly-pops:egressGb": 1,
      })
        .split("\n")
        .slice(0, 4),
    ).toEqual([
      "config:",
      '  fly-pops:app:   "my-edge"   # two blanks',
      "  fly-pops:addresses: [v6]",
      "  fly-pops:defaults: { memoryMb: 512 }",
    ]);
  });
});
