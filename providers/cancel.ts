/**
 * Ctrl-C, as the engine tells its plugins: by the Cancel call, which Pulumi's own host for dynamic providers answers and forgets. Ours
 * (setup/dynamic-host) notes it here. The engine cancels when it closes a plugin, too; nothing waits by then.
 */
let cancelled = false;

export const cancel = (): void => {
  cancelled = true;
};

/** Whether the engine asked this process to begin nothing further. */
export const isCancelled = (): boolean => cancelled;
