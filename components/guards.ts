/** Which resources Pulumi protects from deletion, by two keys of the stack file. Pure, and without imports, as previews without an engine use it too. */

export interface Guarded {
  /** `fly-pops:protect` */
  protect: boolean;
  /** `fly-pops:keepVolumes` */
  keepVolumes: boolean;
}

/**
 * Pulumi's `protect` by resource type: for what cannot be recreated on Fly. A PoP whose volume is kept loses nothing. If the volume is not kept, the
 * machine is protected too, as the engine would delete it before the deletion of the volume fails.
 */
export function guardsOf({ protect, keepVolumes }: Guarded) {
  const popIsLost = protect && !keepVolumes;
  return { App: protect, Address: protect, DestroyGuard: protect, Volume: popIsLost, Machine: popIsLost };
}
