/**
 * Cancellation (Ctrl-C). The engine sends its plugins a Cancel call, which Pulumi's own host for dynamic providers ignores; ours (setup/dynamic-host)
 * notes it here. The engine also sends one when it closes a plugin, when nothing is in progress any more.
 */
let cancelled = false;

export const cancel = (): void => {
  cancelled = true;
};

/** Whether the engine cancelled the run, so that nothing further may be started. */
export const isCancelled = (): boolean => cancelled;
