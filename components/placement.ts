/** Where PoPs lie, and what their volumes are called. Pure, and light: the command line needs it without Pulumi's SDK. */

/** cdg-1 -> pop_cdg_1: Fly takes no hyphens here. A volume has no metadata, so its name is how a cut-off run finds it again. */
export const volumeName = (pop: string): string => `pop_${pop.replaceAll("-", "_")}`;

/** The other way round: the PoP whose volume it is by its name. Undefined for a name that none of ours has. */
export const popOfVolume = (name: string | undefined): string | undefined =>
  /^pop_([a-z]{3}_\d+)$/.exec(name ?? "")?.[1]?.replace("_", "-");

/** A sentence for each host that has several of these PoPs. */
export function sharedHostWarnings(placed: readonly { name: string; zone: string | null | undefined }[]): string[] {
  return [...Map.groupBy(placed, ({ zone }) => zone)].flatMap(([zone, some]) => {
    if (!zone || some.length < 2) return [];
    const names = some.map(({ name }) => name);
    return [
      `${names.join(" and ")} lie on one host, ${zone}: when it fails, all of them are away. To move one to another host, if Fly has one: npx fly-pops replace ${names.at(-1)}`,
    ];
  });
}
