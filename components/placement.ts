/** Names of volumes, and PoPs that share a host. Pure, and without imports, as the CLI uses it without Pulumi's SDK. */

/** cdg-1 -> pop_cdg_1: Fly allows no hyphens. A volume has no metadata, so the next run after an interruption finds it by name. */
export const volumeName = (pop: string): string => `pop_${pop.replaceAll("-", "_")}`;

/** The inverse of volumeName; undefined if the name is not that of a PoP volume. */
export const popOfVolume = (name: string | undefined): string | undefined =>
  /^pop_([a-z]{3}_\d+)$/.exec(name ?? "")?.[1]?.replace("_", "-");

/** A warning for each host that several of these PoPs share. */
export function sharedHostWarnings(placed: readonly { name: string; zone: string | null | undefined }[]): string[] {
  return [...Map.groupBy(placed, ({ zone }) => zone)].flatMap(([zone, some]) => {
    if (!zone || some.length < 2) return [];
    const names = some.map(({ name }) => name);
    return [
      `${names.join(" and ")} are on one host, ${zone}: if it fails, all of them are down. To move one to another host, if Fly has one: npx fly-pops replace ${names.at(-1)}`,
    ];
  });
}
