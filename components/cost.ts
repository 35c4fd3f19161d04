/** Estimates the monthly cost of a stack by list prices. Pure. What the bill depends on but the stack file does not say is listed as an assumption. */
import type { AddressType, EdgeConfig, PopConfig } from "../config/types.ts";
import { egressByArea } from "../config/visitors.ts";
import { flyPrices, type Prices } from "./prices.ts";

/** The billable items of a stack. */
export interface BillableItems extends Traffic {
  machines: readonly BillableMachine[];
  /** Includes volumes of PoPs without a machine: volumes are billed whether attached or not. */
  volumes: readonly BillableVolume[];
  /** True: `volumes` includes all kept volumes, as Fly was asked. Otherwise those of earlier deployments may be missing. */
  includesAllKept?: boolean;
  addresses: readonly AddressType[];
}

/** Assumed traffic: `egressGb` per machine and month, its distribution by area, and the share of crawlers in percent. */
export type Traffic = Pick<EdgeConfig, "egressGb" | "egress" | "crawlers">;

export interface BillableVolume {
  /** PoP. */
  name: string;
  volumeGb: number;
  /** Days for which its daily snapshots are kept. 0: none are taken. */
  snapshotDays: number;
  /** Whether its PoP was removed from the stack file while the volume was kept on Fly. */
  kept?: boolean;
}

export type BillableMachine = Pick<PopConfig, "name" | "region" | "size" | "cpuKind" | "cpus" | "memoryMb">;

export const costKinds = ["machines", "volumes", "snapshots", "addresses", "egress"] as const;
export type CostKind = (typeof costKinds)[number];

/** One line of the bill. */
export interface CostRow {
  kind: CostKind;
  /** PoP, type of the address, or what the row sums up. */
  name: string;
  /** What is billed, e.g. `shared-cpu-1x, 256 MB in cdg`. */
  what: string;
  /** Price per month, not rounded. */
  monthly: number;
}

export interface Estimate {
  /** Price per month by kind, rounded to cents; `total` is their sum. */
  monthly: Record<CostKind | "total", number>;
  currency: Prices["currency"];
  rows: CostRow[];
  /** The part of the egress price that is assumed to be caused by crawlers. */
  crawlers: number;
  /** Sentences: assumptions, and the source of the prices. */
  assumptions: string[];
}

/** Estimates the cost of a stack as configured. `kept`: volumes on Fly that none of its PoPs uses; absent: unknown. */
export function estimate(
  {
    pops,
    addresses,
    snapshotDays,
    egressGb,
    egress,
    crawlers,
  }: Pick<EdgeConfig, "pops" | "addresses" | "snapshotDays"> & Traffic,
  prices?: Prices,
  kept?: readonly BillableVolume[],
): Estimate {
  const volumes = pops.map(({ name, volumeGb }) => ({ name, volumeGb, snapshotDays }));
  return estimateBill(
    {
      machines: pops,
      volumes: [...volumes, ...(kept ?? [])],
      includesAllKept: kept !== undefined,
      addresses,
      ...trafficOf({ egressGb, egress, crawlers }),
    },
    prices,
  );
}

/** The traffic assumptions of a configuration. */
export const trafficOf = ({ egressGb, egress, crawlers }: Traffic): Traffic => ({
  egressGb,
  ...(egress && { egress }),
  crawlers,
});

export function estimateBill(
  { machines, volumes, includesAllKept = false, addresses, egressGb, egress, crawlers }: BillableItems,
  prices: Prices = flyPrices,
): Estimate {
  const rows: CostRow[] = [
    ...machines.map((it) => ({
      kind: "machines" as const,
      name: it.name,
      what: `${it.size}, ${it.memoryMb} MB in ${it.region}`,
      monthly: basePrice(it, prices).monthly * regionMultiplier(it.region, prices),
    })),
    ...volumes.map(({ name, volumeGb, kept = false }) => ({
      kind: "volumes" as const,
      name,
      what: kept ? `kept, ${volumeGb} GB` : `${volumeGb} GB`,
      monthly: volumeGb * prices.volumeGb,
    })),
    ...snapshots(volumes, prices),
    ...addresses.map((type) => ({
      kind: "addresses" as const,
      name: type,
      what: `anycast IP${type}`,
      monthly: prices.addresses[type],
    })),
    ...egressByArea(machines, egressGb, egress).map(({ where, gb, group }, at) => ({
      kind: "egress" as const,
      name: egress === undefined ? (machines[at]?.name ?? "") : where,
      what: `${gb} GB ${where}`,
      monthly: gb * prices.egressGb[group],
    })),
  ];
  const sum = (kind: CostKind) =>
    cents(rows.filter((it) => it.kind === kind).reduce((total, it) => total + it.monthly, 0));
  const parts = Object.fromEntries(costKinds.map((kind) => [kind, sum(kind)])) as Record<CostKind, number>;
  // The sum of the rounded amounts, so that adding up what is shown gives the same result.
  const total = cents(Object.values(parts).reduce((all, it) => all + it, 0));
  return {
    monthly: { total, ...parts },
    currency: prices.currency,
    rows,
    crawlers: cents((parts.egress * crawlers) / 100),
    assumptions: [
      `Each PoP runs the whole month and sends ${egressGb} GB to visitors (fly-pops:egressGb); what comes in, from your origin too, is free.`,
      egress === undefined
        ? "Visitors are taken to be in the same part of the world as the PoP that serves them. Fly bills egress by where they are: fly-pops:egress says it, as in { eu: 80, asia: 20 }."
        : `Of all that is sent goes ${Object.entries(egress)
            .map(([area, percent]) => `${percent} % to ${area}`)
            .join(", ")} (fly-pops:egress); Fly bills egress by where visitors are.`,
      `Crawlers are visitors too: ${crawlers} % of egress is taken to be theirs (fly-pops:crawlers), ${cents((parts.egress * crawlers) / 100).toFixed(2)} ${prices.currency} of it. That is an estimate: on a site they like it has been nearly all.`,
      parts.snapshots > 0 || volumes.some((it) => it.snapshotDays > 0)
        ? `Each daily snapshot holds as much as its volume, the most it can: snapshots hold what changed, and a cache may change wholly. ${prices.snapshotsFreeGb} GB are free in an organization, taken to have no others.`
        : "No snapshots of the volumes are taken (fly-pops:snapshots).",
      ...(includesAllKept
        ? []
        : [
            "Volumes that stayed on Fly when earlier deployments took their PoPs out are left out: npx fly-pops cost asks Fly for them.",
          ]),
      "Free allowances, reservations, tax and support are left out.",
      ...new Set(machines.flatMap((it) => basePrice(it, prices).assumption ?? [])),
      ...new Set(machines.flatMap(({ region }) => unknownMultiplierNote(region, prices) ?? [])),
      `List prices of ${prices.source} as of ${prices.date}, a month of 30 days.`,
    ],
  };
}

/** The snapshots of all volumes: some GB are free per organization. */
function snapshots(volumes: readonly BillableVolume[], prices: Prices): CostRow[] {
  const gb = volumes.reduce((sum, { volumeGb, snapshotDays }) => sum + volumeGb * snapshotDays, 0);
  if (gb === 0) return [];
  const monthly = Math.max(0, gb - prices.snapshotsFreeGb) * prices.snapshotGb;
  return [{ kind: "snapshots", name: "of all volumes", what: `up to ${gb} GB`, monthly }];
}

/** Price of a machine per month in the base region. */
function basePrice(guest: BillableMachine, prices: Prices): { monthly: number; assumption?: string } {
  const listed = prices.machines[guest.size];
  if (listed) return { monthly: priceWithMemory(listed, guest.memoryMb, prices.extraMemoryGb) };
  // Fly has sizes that its price page does not list. Listed prices grow in proportion to CPUs and memory.
  const [neighbour] = Object.keys(prices.machines)
    .flatMap((size) => {
      const [, kind, cpus] = /^(shared|performance)(?:-cpu)?-(\d+)x$/.exec(size) ?? [];
      return kind === guest.cpuKind ? [{ size, cpus: Number(cpus) }] : [];
    })
    .toSorted((a, b) => Math.abs(a.cpus - guest.cpus) - Math.abs(b.cpus - guest.cpus) || a.cpus - b.cpus);
  const table = neighbour && prices.machines[neighbour.size];
  if (!neighbour || !table) throw new Error(`${guest.size} has no price, and no ${guest.cpuKind} size has`);
  const share = guest.cpus / neighbour.cpus;
  return {
    monthly: priceWithMemory(table, guest.memoryMb / share, prices.extraMemoryGb) * share,
    assumption: `${guest.size} has no published price: taken as ${guest.cpus}/${neighbour.cpus} of ${neighbour.size} with as much memory a CPU.`,
  };
}

/** The price of the largest listed amount of memory that is not above, plus the price per GB for the rest. */
function priceWithMemory(listed: Readonly<Record<number, number>>, memoryMb: number, extraGb: number): number {
  const below = Math.max(
    ...Object.keys(listed)
      .map(Number)
      .filter((mb) => mb <= memoryMb),
  );
  const price = listed[below];
  if (price === undefined) throw new Error(`no price for ${memoryMb} MB: the least listed is above`);
  return price + ((memoryMb - below) / 1024) * extraGb;
}

const regionMultiplier = (region: string, prices: Prices): number => prices.regionFactor[region] ?? 1;

function unknownMultiplierNote(region: string, prices: Prices): string | undefined {
  if (prices.regionFactor[region] !== undefined) return undefined;
  return `Machines in ${region} have no published factor: taken at the base price.`;
}

/** Rounds to cents. Half cents are rounded up, including those that binary fractions represent as slightly less. */
const cents = (amount: number): number => Math.round(amount * 100 + 1e-6) / 100;
