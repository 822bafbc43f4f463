// What tests of other folders use of the round trip.

export { roundTripOf } from "./round-trip.ts";
