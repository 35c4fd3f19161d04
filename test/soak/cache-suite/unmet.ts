/**
 * Why tests of the suite are not met, by their ids: every required and every optimal one that failed, or that could not begin or asked twice. The soak test
 * compares this with what it finds, so a test that begins to fail shows, and so does one that no longer does.
 */
export const unmet: Record<string, string> = {};
