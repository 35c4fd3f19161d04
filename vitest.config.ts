import { defineConfig } from "vitest/config";

/**
 * One project a folder of test/, so that `npm run test:fast` can leave out what needs Docker. Patience is for a machine without any cache, where
 * images are compiled from nothing.
 */
const project = (name: string, timeout: number) => ({
  test: { name, include: [`test/${name}/**/*.test.ts`], testTimeout: timeout, hookTimeout: timeout },
});

export default defineConfig({
  test: {
    projects: [
      project("unit", 10_000),
      project("provider", 20_000),
      project("cli", 20_000),
      project("sim", 180_000),
      project("engine", 180_000),
      project("image", 1_800_000),
      project("e2e", 1_800_000),
      // Minutes of load and waiting: npm run soak.
      project("soak", 1_800_000),
    ],
  },
});
