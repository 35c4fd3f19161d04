/** Metadata keys of our machines. Fly and flyctl use keys that begin with `fly_`, so ours do not. Pure. */

export const metadataKeys = {
  /** The stack that the machine belongs to, as organization/project/stack. */
  stack: "pops_stack",
  /** Name of its PoP. */
  pop: "pops_pop",
  /** Size of its volume in GB. */
  volumeGb: "pops_volume_gb",
  /** App of the preflight that created the machine. */
  preflight: "pops_preflight",
} as const;

/** Keys of the previous version, read for one more version: its machines have them until their next update, which writes the new ones. */
export const formerKeys: Readonly<Record<string, string>> = {
  fly_pops_stack: metadataKeys.stack,
  fly_pops_key: metadataKeys.pop,
  fly_pops_volume_gb: metadataKeys.volumeGb,
  fly_pops_preflight: metadataKeys.preflight,
};

/** Metadata with former keys under their current names. If it has both, the value of the current key counts. */
export function withCurrentKeys<Value>(metadata: Readonly<Record<string, Value>>): Record<string, Value> {
  const former = Object.entries(formerKeys).flatMap(([key, current]) => {
    const value = metadata[key];
    return value === undefined ? [] : [[current, value] as const];
  });
  if (former.length === 0) return metadata;
  const others = Object.entries(metadata).filter(([key]) => !Object.hasOwn(formerKeys, key));
  return Object.fromEntries([...former, ...others]);
}
