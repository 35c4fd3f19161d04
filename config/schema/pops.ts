/** Keys that say where PoPs stand, how large they are and in which order they change. */
import { z } from "zod";
import { presets } from "../../providers/fly/guests.ts";
import { defaults } from "../defaults.ts";
import {
  code,
  durationDescription,
  durationField,
  enumField,
  fields,
  intDescription,
  intField,
  orList,
} from "../field.ts";

const sizes = Object.keys(presets);

/** Settings of PoPs. In a region each falls back on `defaults`, there on what we think best. */
const settings = (inherited: boolean) => {
  const fallback = (key: string, own: string) => (inherited ? code(`defaults.${key}`) : own);
  return z.strictObject({
    replicas: intField(1, 100)
      .register(fields, {
        type: "integer",
        unit: "PoPs",
        takes: intDescription(1, 100, "PoPs"),
        meaning:
          "PoPs in a region, named `<region>-1` and up. Each has a volume, an identity and a machine of its own.",
        default: fallback("replicas", code(defaults.replicas)),
      })
      .optional(),
    size: enumField(sizes, "size")
      .register(fields, {
        type: "string",
        takes: orList(sizes),
        meaning: "CPUs of the machine, by Fly's names of sizes.",
        default: fallback("size", code(defaults.size)),
      })
      .optional(),
    memoryMb: intField(1, 1_048_576)
      .register(fields, {
        type: "integer",
        unit: "MB",
        takes: "a whole number of MB that the size takes",
        meaning:
          "Memory of the machine: 256 to 2048 MB a shared CPU in steps of 256, 2048 to 8192 MB a performance CPU in steps of 1024.",
        default: fallback("memoryMb", "the least the size takes"),
        refused: "what the size in force does not take",
      })
      .optional(),
    volumeGb: intField(1, 500)
      .register(fields, {
        type: "integer",
        unit: "GB",
        takes: intDescription(1, 500, "GB"),
        meaning:
          "Volume of the PoP: identity and cache lie on it. It grows in place; less than it has is refused by the volume itself.",
        default: fallback("volumeGb", code(defaults.volumeGb)),
      })
      .optional(),
  });
};

export const Defaults = settings(false).register(fields, {
  type: "object",
  takes: "a map of settings",
  meaning: "What holds for every PoP whose region does not say otherwise.",
  default: code("{}"),
});

export const Regions = z
  .record(
    z.string(),
    settings(true).nullable().register(fields, {
      type: "object",
      takes: "a map of settings, or nothing",
      meaning: "PoPs in this region, by Fly's code of it. What is not said here comes from `defaults`.",
      refused: "regions Fly does not have; a new PoP where it takes no new machines, one that is there stays",
    }),
  )
  .register(fields, {
    type: "object",
    takes: "a map from region code to settings, as in { cdg: {}, ewr: { replicas: 2 } }",
    key: "<code>",
    meaning: "Where the PoPs stand.",
    refused: "an empty map",
  });

export const Rollout = z
  .strictObject({
    canary: z
      .string()
      .register(fields, {
        type: "string",
        takes: "a PoP, as in cdg-1, or a region with a PoP, for its first",
        meaning: "The PoP that gets every change first; the others wait until it is healthy. Absent: none goes first.",
        default: "absent",
      })
      .optional(),
    maxUnavailable: intField(1, 10_000)
      .register(fields, {
        type: "integer",
        unit: "PoPs",
        takes: intDescription(1, 10_000, "PoPs"),
        meaning:
          "PoPs that may change at the same time, after the canary. However many: one PoP always serves, where there are two, and half of a region that has several.",
        default: code(defaults.maxUnavailable),
      })
      .optional(),
    drain: durationField("0", "5m")
      .register(fields, {
        type: "duration",
        unit: "s where no unit stands",
        takes: durationDescription("0", "5m"),
        meaning:
          "Time between taking a PoP out of routing and stopping it, so that Fly Proxy has heard of it everywhere. 0: none.",
        default: code(defaults.drain),
      })
      .optional(),
    timeout: durationField("10s", "1h")
      .register(fields, {
        type: "duration",
        unit: "s where no unit stands",
        takes: durationDescription("10s", "1h"),
        meaning:
          "Time a new version has until all its checks pass, image pull included. Then the old one is put back and the deployment ends.",
        default: code(defaults.timeout),
      })
      .optional(),
  })
  .register(fields, {
    type: "object",
    takes: "a map with canary, maxUnavailable, drain, timeout",
    meaning: "In which order changes reach the PoPs.",
    default: code("{}"),
  });

const id = (takes: string, meaning: string) => z.string().min(1).register(fields, { type: "string", takes, meaning });

export const Adopt = z
  .strictObject({
    from: z
      .string()
      .regex(/^[^/\s]+\/[^/\s]+\/[^/\s]+$/)
      .register(fields, {
        type: "string",
        takes: "a stack as organization/project/stack, as in organization/fly-pops/prod",
        meaning:
          "A stack that is gone, and whose app, addresses, volumes and machines are this one's from now on. Without it what runs under another stack's mark is left alone. A stack that still runs is refused its machines from then on.",
        default: "absent",
      })
      .optional(),
    addresses: z
      .strictObject({
        v4: id("an IPv4 address of the app", "Dedicated IPv4 address to take over.").optional(),
        v6: id("an IPv6 address of the app", "IPv6 address to take over.").optional(),
      })
      .register(fields, {
        type: "object",
        takes: "a map with v4, v6 or both",
        meaning: "Addresses the app has already. Needed only when it has several of a kind.",
        default: code("{}"),
      })
      .optional(),
    pops: z
      .record(
        z.string(),
        z
          .strictObject({
            volume: id("an id as in vol_4xp...", "Volume to take over, with all that is on it."),
            machine: id(
              "an id of 14 hex digits",
              "Machine to take over: it gets the PoP's configuration in place. It must have that volume mounted. Absent: a new one.",
            ).optional(),
          })
          .register(fields, {
            type: "object",
            takes: "a map with volume and machine",
            meaning: "One PoP's volume and machine, by their ids on Fly.",
          }),
      )
      .register(fields, {
        type: "object",
        takes: "a map from PoP to ids, as in { cdg-1: { volume: vol_4xp... } }",
        key: "<pop>",
        meaning: "PoPs that exist already, by name.",
        default: code("{}"),
      })
      .optional(),
  })
  .register(fields, {
    type: "object",
    takes: "a map with from, addresses and pops, or some of them",
    meaning:
      "What exists on Fly already and is taken over instead of made. The app itself is taken over by its name, unless machines of another stack run in it. Needed for the first deployment only.",
    default: code("{}"),
  });
