/** At boot, root follows none of the links that users of the PoP have left on the volume in place of files. */
import { afterAll, beforeAll, expect, test } from "vitest";
import { build, ImageHarness, type Pop, untilHealthy } from "./support/pop.ts";

const harness = new ImageHarness("links");
let image: string;

beforeAll(async () => {
  [image] = await Promise.all([build("all"), harness.sweep()]);
});
afterAll(() => harness.sweep());

/** Owner, mode and content of all files of the image. Docker itself writes three of them. */
const files = `find /usr /etc -xdev -type f ! -name hosts ! -name hostname ! -name resolv.conf -exec stat -c '%n %u:%g %a' {} + -exec md5sum {} + | sort`;
const identity = "cd /var/lib/pop/identity && stat -c '%n %u:%g %a' . * && md5sum *";

const sh = async (pop: Pop, script: string): Promise<string> => {
  const { code, output } = await pop.exec(["/bin/sh", "-c", script]);
  expect(code, `${script}: ${output}`).toBe(0);
  return output;
};

const unbound = "cd /var/lib/unbound && rm -f root.key root.key.new";
const plants: [what: string, user: string, script: string][] = [
  ["a program that root runs", "unbound", `${unbound} && ln -s /usr/libexec/pop/sshd root.key.new`],
  ["the identity", "unbound", `${unbound} && ln -s /var/lib/pop/identity/ssh_host_ed25519_key root.key.new`],
  ["the identity, by two", "unbound", `${unbound} && ln -s root.key root.key.new && ln -s /etc/shadow root.key`],
  ["a pipe without a reader", "unbound", `${unbound} && mkfifo root.key.new root.key`],
  ["a directory", "unbound", `${unbound} && mkdir root.key.new`],
  ["what nginx may not read", "certs", "ln -s /etc/shadow /var/lib/pop/certs/other.pem"],
  ["the whole root", "luggage-blog", "ln -s / /var/lib/luggage/blog/root"],
];

test.each(plants)("%s: nothing outside of that user's own directory changes at boot", async (_, user, script) => {
  const volume = await harness.newVolume();
  const before = await harness.start(image, { volume });
  await untilHealthy(before);
  const [owned, of] = [await sh(before, files), await sh(before, identity)];
  await sh(before, `runas ${user} /bin/sh -c '${script}'`);
  await before.container.remove({ force: true });

  const after = await harness.start(image, { volume });
  await untilHealthy(after);
  expect(await sh(after, files)).toBe(owned);
  expect(await sh(after, identity)).toBe(of);
  expect(await sh(after, "stat -c '%U %F' /var/lib/unbound/root.key")).toBe("unbound regular file\n");
  await after.container.remove({ force: true });
});
