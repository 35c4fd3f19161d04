/** Where visitors are, for the cost estimate. */
import { z } from "zod";
import { fields, intDescription, intField } from "../field.ts";
import { type VisitorArea, visitorAreas } from "../visitors.ts";

const names: Record<VisitorArea, string> = {
  eu: "Europe",
  na: "North America",
  asia: "Asia without India",
  oceania: "Oceania",
  sa: "South America",
  africa: "Africa",
  india: "India",
};

const percent = (area: VisitorArea) =>
  intField(0, 100)
    .register(fields, {
      type: "integer",
      unit: "percent",
      takes: intDescription(0, 100, "percent"),
      meaning: `Share of traffic to visitors in ${names[area]}.`,
      default: "`0`",
    })
    .optional();

export const Egress = z
  .strictObject(
    Object.fromEntries((Object.keys(visitorAreas) as VisitorArea[]).map((area) => [area, percent(area)])) as Record<
      VisitorArea,
      ReturnType<typeof percent>
    >,
  )
  .register(fields, {
    type: "object",
    takes: `a map of percentages that add up to 100, as in { eu: 80, asia: 20 }, with ${Object.keys(visitorAreas).join(", ")}`,
    meaning:
      "Where visitors are, in percent of the traffic, because Fly bills egress by area. Used for the cost estimate only. Absent: each PoP's visitors are in its own area.",
    default: "absent",
    refused: "percentages that do not add up to 100",
  });
