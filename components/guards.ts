/** What Pulumi guards against deletion, from two keys of the stack file. Pure, and light: previews without an engine need it, too. */

export interface Guarded {
  /** `fly-pops:protect` */
  protect: boolean;
  /** `fly-pops:keepVolumes` */
  keepVolumes: boolean;
}

/**
 * Pulumi's `protect` by type of resource: on what Fly would not give again. A PoP whose volume is kept loses nothing. Of one whose volume is not, the
 * machine too: the engine deletes it first, and by the time the volume refused, the PoP would be gone.
 */
export function guardsOf({ protect, keepVolumes }: Guarded) {
  const popIsLost = protect && !keepVolumes;
  return { App: protect, Address: protect, DestroyGuard: protect, Volume: popIsLost, Machine: popIsLost };
}
