import { expect, test } from "vitest";
import { withConfig } from "../../cli/commands/rollback.ts";

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

test("the keys of a release stand in the file, others of ours are gone, all else is as it was", () => {
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

test("what is equal is not touched", () => {
  const same = { "fly-pops:app": "my-edge", "fly-pops:regions": { cdg: {} }, "fly-pops:debugTools": true };
  expect(withConfig(file, same)).toBe(file);
});
