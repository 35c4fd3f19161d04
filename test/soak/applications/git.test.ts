import { afterAll, beforeAll, expect, test } from "vitest";
import { type Application, Lab } from "./lab.ts";

// git over smart HTTP: git's own http-backend behind Apache.

const url = "https://ann:secret@git.example.org/project.git";
let lab: Lab;
let git: Application;

beforeAll(async () => {
  lab = await Lab.open();
  git = await lab.start(
    "git",
    `git init --bare --initial-branch main /srv/git/project.git && git -C /srv/git/project.git config http.receivepack true
     chown -R www-data: /srv/git && exec apache2 -f /etc/applications/git.conf -D FOREGROUND`,
  );
  await lab.untilServed("git.example.org");
});
afterAll(() => lab?.close());

test("clone, push in one piece, push in chunks, fetch, clone again: the same commits on both sides", async () => {
  await lab.well(`git config --global user.name Ann && git config --global user.email ann@example.org
    git config --global core.compression 0
    git clone -q ${url} /tmp/work && cd /tmp/work && git checkout -q -b main`);
  // Below http.postBuffer of 1 MiB it is one body with its length, above it comes in chunks: https://git-scm.com/docs/git-config
  for (const [name, bytes] of Object.entries({ small: 1000, chunked: 3_000_000, large: 40_000_000 })) {
    await lab.well(
      `cd /tmp/work && head -c ${bytes} /dev/urandom > ${name} && git add . && git commit -qm ${name} && git push -q origin main`,
    );
  }
  await lab.well(`git clone -q ${url} /tmp/again`);
  const [here, there, copy] = await Promise.all([
    lab.well("git -C /tmp/work rev-parse HEAD"),
    git.run("git -C /srv/git/project.git -c safe.directory='*' rev-parse main").then(({ output }) => output),
    lab.well("git -C /tmp/again rev-parse HEAD"),
  ]);
  expect(here).toMatch(/^[0-9a-f]{40}\n$/);
  expect(there).toBe(here);
  expect(copy).toBe(here);
  await lab.well(`cd /tmp/again && echo more > more && git add . && git commit -qm more && git push -q origin main
    cd /tmp/work && git pull -q --ff-only origin main && test "$(cat more)" = more`);
});

test("a push that has to be rebased is refused by git's own words, not by a proxy's", async () => {
  await lab.well(
    `git clone -q ${url} /tmp/late && cd /tmp/work && echo first > race && git add . && git commit -qm first && git push -q origin main`,
  );
  const late = await lab.client(
    "cd /tmp/late && echo second > race && git add . && git commit -qm second && git push origin HEAD:main",
  );
  expect(late.code).not.toBe(0);
  expect(late.output).toContain("[rejected]");
});
