import { afterAll, beforeAll, expect, test } from "vitest";
import { Lab } from "./lab.ts";

// Backups over HTTP: restic to its own REST server.

const repository = "rest:https://backup.example.org/home";
let lab: Lab;

beforeAll(async () => {
  lab = await Lab.open();
  await lab.start("backup", "exec restic-rest-server --path /srv/backup --no-auth --listen :8000");
  await lab.untilServed("backup.example.org");
});
afterAll(() => lab?.close());

test("restic backs 200 MB up, checks every byte of it, and brings them back", async () => {
  const restic = `RESTIC_PASSWORD=secret restic -q -r ${repository}`;
  await lab.well(`mkdir -p /tmp/data && head -c 200000000 /dev/urandom > /tmp/data/disk && cp -r /etc /tmp/data/`);
  await lab.well(`${restic} init && ${restic} backup /tmp/data`);
  await lab.well(`echo more >> /tmp/data/disk && ${restic} backup /tmp/data`);
  await lab.well(`${restic} check --read-data`);
  await lab.well(
    `${restic} restore latest --target /tmp/restored && diff -r --no-dereference /tmp/data /tmp/restored/tmp/data`,
  );
  await lab.well(`${restic} forget --keep-last 1 --prune && ${restic} check`);
  expect(JSON.parse(await lab.well(`${restic} snapshots --json`))).toHaveLength(1);
});
