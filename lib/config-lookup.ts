/** Looks up a key of stack config or an environment variable. Undefined: not set. */
export type ConfigLookup = (key: string) => string | undefined;
