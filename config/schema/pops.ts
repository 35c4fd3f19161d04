/** Keys of the PoPs' regions, sizes and rollout order, and of adoption. */
import { z } from "zod";
import { presets } from "../../fly/guests.ts";
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

/** Settings of PoPs. A region's settings default to `defaults`, and those to built-in values. */
const settings = (inherited: boolean) => {
  const fallback = (key: string, own: string) => (inherited ? code(`defaults.${key}`) : own);
  return z.strictObject({
    replicas: intField(1, 100)
      .register(fields, {
        type: "integer",
        unit: "PoPs",
        takes: intDescription(1, 100, "PoPs"),
        meaning:
          "Number of PoPs in a region, named `<region>-1`, `<region>-2` and so on. Each has its own volume, identity and machine.",
        default: fallback("replicas", code(defaults.replicas)),
      })
      .optional(),
    size: enumField(sizes, "size")
      .register(fields, {
        type: "string",
        takes: orList(sizes),
        meaning: "CPUs of the machine, by Fly's name of the size.",
        default: fallback("size", code(defaults.size)),
      })
      .optional(),
    memoryMb: intField(1, 1_048_576)
      .register(fields, {
        type: "integer",
        unit: "MB",
        takes: "a whole number of MB that the size allows",
        meaning:
          "Memory of the machine: 256 to 2048 MB per shared CPU in steps of 256, or 2048 to 8192 MB per performance CPU in steps of 1024.",
        default: fallback("memoryMb", "the minimum of the size"),
        refused: "values that the size does not allow",
      })
      .optional(),
    volumeGb: intField(1, 500)
      .register(fields, {
        type: "integer",
        unit: "GB",
        takes: intDescription(1, 500, "GB"),
        meaning: "Size of the PoP's volume, which holds its identity and cache. It grows in place; it cannot shrink.",
        default: fallback("volumeGb", code(defaults.volumeGb)),
      })
      .optional(),
  });
};

export const Defaults = settings(false).register(fields, {
  type: "object",
  takes: "a map of settings",
  meaning: "Settings of every PoP, unless its region overrides them.",
  default: code("{}"),
});

export const Regions = z
  .record(
    z.string(),
    settings(true).nullable().register(fields, {
      type: "object",
      takes: "a map of settings, or nothing",
      meaning: "Settings of the PoPs in this region. Keys that are not set here come from `defaults`.",
      refused: "regions that Fly does not have; new PoPs in regions that take no new machines (existing ones stay)",
    }),
  )
  .register(fields, {
    type: "object",
    takes: "a map from region code to settings, as in { cdg: {}, ewr: { replicas: 2 } }",
    key: "<code>",
    meaning: "The regions of the PoPs, by Fly's region code.",
    refused: "an empty map",
  });

export const Rollout = z
  .strictObject({
    canary: z
      .string()
      .register(fields, {
        type: "string",
        takes: "a PoP, as in cdg-1, or a region with a PoP, for its first",
        meaning: "The PoP that gets every change first. The others wait until it is healthy. Absent: no canary.",
        default: "absent",
      })
      .optional(),
    maxUnavailable: intField(1, 10_000)
      .register(fields, {
        type: "integer",
        unit: "PoPs",
        takes: intDescription(1, 10_000, "PoPs"),
        meaning:
          "How many PoPs may change at the same time, after the canary. Whatever the number, at least one PoP keeps serving if there are two or more, and at least half of a region with several.",
        default: code(defaults.maxUnavailable),
      })
      .optional(),
    drain: durationField("0", "5m")
      .register(fields, {
        type: "duration",
        unit: "s if no unit is given",
        takes: durationDescription("0", "5m"),
        meaning:
          "Time between removing a PoP from routing and stopping it, so that Fly Proxy learns of it everywhere. 0: none.",
        default: code(defaults.drain),
      })
      .optional(),
    timeout: durationField("10s", "1h")
      .register(fields, {
        type: "duration",
        unit: "s if no unit is given",
        takes: durationDescription("10s", "1h"),
        meaning:
          "How long a new version may take until all its checks pass, including the image pull. After that, the old version is restored and the deployment fails.",
        default: code(defaults.timeout),
      })
      .optional(),
  })
  .register(fields, {
    type: "object",
    takes: "a map with canary, maxUnavailable, drain, timeout",
    meaning: "The order in which changes reach the PoPs.",
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
          "A former stack whose app, addresses, volumes and machines this stack takes over. Without this key, machines that belong to another stack are left alone. If the other stack is still in use, it can no longer manage its machines.",
        default: "absent",
      })
      .optional(),
    addresses: z
      .strictObject({
        v4: id("an IPv4 address of the app", "Dedicated IPv4 address to adopt.").optional(),
        v6: id("an IPv6 address of the app", "IPv6 address to adopt.").optional(),
      })
      .register(fields, {
        type: "object",
        takes: "a map with v4, v6 or both",
        meaning: "Addresses that the app already has. Needed only if it has several of one kind.",
        default: code("{}"),
      })
      .optional(),
    pops: z
      .record(
        z.string(),
        z
          .strictObject({
            volume: id("an id as in vol_4xp...", "Volume to adopt, with its contents."),
            machine: id(
              "an id of 14 hex digits",
              "Machine to adopt. It is updated in place to the PoP's configuration, and must have that volume mounted. Absent: a new machine is created.",
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
        meaning: "Existing volumes and machines to adopt, by PoP.",
        default: code("{}"),
      })
      .optional(),
  })
  .register(fields, {
    type: "object",
    takes: "a map with from, addresses and pops, or some of them",
    meaning:
      "Existing Fly resources to adopt instead of creating new ones. The app itself is adopted by its name, unless machines of another stack run in it. Needed for the first deployment only.",
    default: code("{}"),
  });
